"""What comes from others names no files, runs no code and takes no memory beyond limits."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import onnx
import pytest
from numpy.lib import format as npy
from onnx import TensorProto, helper

from support.brightness import MATTES_ALONE, brightness_config
from support.faults import around
from support.job_process import JobProcess
from support.matting.registered import register
from support.media.media_fixtures import write_clip
from support.paths import SOURCES
from vrmatte.cli.inspect import probe as probe_command
from vrmatte.cli.options import parse_time
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import (
    ChunkError,
    ConfigError,
    InputError,
    OutputError,
    VerificationError,
    WeightsError,
)
from vrmatte.files import ChunkFile
from vrmatte.jobs.job_folder import open_job_folder
from vrmatte.jobs.manifest import Manifest, Product, earlier_run
from vrmatte.matting.engines.choose import choose_engine, load_engine
from vrmatte.media.opening import file_url
from vrmatte.media.probe import probe
from vrmatte.media.sequences.sequence import drop_broken_frames
from vrmatte.models import registry, weights
from vrmatte.models.runtime import open_session
from vrmatte.models.weights import get_weights, locate_weights
from vrmatte.people.read_document import read_people
from vrmatte.settings.config import Config
from vrmatte.settings.load import load_config
from vrmatte.state_file import load_state, save_state

MODULES = sorted(SOURCES.rglob("*.py"))


# --- code ----------------------------------------------------------------------------------------


def calls() -> list[tuple[Path, str, ast.Call]]:
    """Every call in the sources by its dotted name, as far as it is one."""
    return [
        (path, ast.unparse(node.func), node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def imports() -> set[tuple[str, str]]:
    """File and top name of every import."""
    found: set[tuple[str, str]] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {(path.name, alias.name.split(".")[0]) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add((path.name, node.module.split(".")[0]))
    return found


def keyword(call: ast.Call, name: str) -> object:
    return next((ast.literal_eval(k.value) for k in call.keywords if k.arg == name), None)


def test_the_sources_were_found():
    assert len(MODULES) > 100


def test_nothing_runs_code_from_data():
    """No eval, no pickles, no code of model repositories, no loader that makes objects."""
    banned = {"eval", "exec", "compile", "__import__", "breakpoint", "input", "os.popen"}
    banned |= {"os.system", "os.startfile", "torch.load", "torch.jit.load", "torch.hub.load"}
    banned |= {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"}
    banned |= {"np.fromregex", "shelve.open", "onnx.load", "tempfile.mktemp", "np.load"}
    assert not [(p.name, name) for p, name, _ in calls() if name in banned or "os.exec" in name]
    unsafe = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "code"}
    assert not [(file, name) for file, name in imports() if name in unsafe]
    words = ("trust_remote_code", "allow_pickle=True", "UnsafeLoader", "weights_only=False")
    assert not [
        (p.name, word) for p in MODULES for word in words if word in p.read_text(encoding="utf-8")
    ]


def test_no_shell_anywhere():
    """The few programs that are run get lists of words."""
    for path, name, call in calls():
        if name in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
            assert not keyword(call, "shell"), path
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), path


def test_every_file_is_opened_through_ffmpeg_as_a_file():
    """What av.open gets is a `file:` name or memory, but in the demo, which names its own files."""
    opened = [(p, ast.unparse(c.args[0])) for p, name, c in calls() if name == "av.open"]
    assert len(opened) >= 4
    for path, first in opened:
        memory = first in ("BytesIO()", "in_memory")
        assert memory or first.startswith("file_url(") or path.parent.name == "demo"


def test_modes_and_names_of_temporary_files():
    """tempfile makes names nobody can guess, 0600 and 0700; nothing is put into /tmp by name."""
    assert not [p for p in MODULES if '"/tmp' in p.read_text(encoding="utf-8")]
    assert not [p for p, name, _ in calls() if name == "tempfile.gettempdir"]


# --- names of files ------------------------------------------------------------------------------

NAMES = [
    "-dash.mp4",
    "quo'te\"s.mp4",
    "new\nline.mp4",
    "a%d.mp4",
    "a%03d_*?[x].mp4",
    "concat:a.mp4|b.mp4",
    "http:x.mp4",
    "subfile,,start,0,end,9,,:x.mp4",
    "pipe:0.mp4",
    "data:text,x.mp4",
    "cache:x.mp4",
    "ü 東 \u202e.mp4",
    "\x1b[31m[red]x.mp4",
    "x" * 246 + ".mp4",
    "..mp4",
    "a..b.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_just_a_name(tmp_path, monkeypatch, name, capsys):
    """Absolute and relative; also through a folder that is left again."""
    write_clip(tmp_path / "plain.mp4", frames=3)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name), Path("sub") / ".." / name):
        assert probe(path).width == 256
    probe_command(Path(name))
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "http://127.0.0.1:9/x.mp4",
        "concat:a.mp4|b.mp4",
        "/dev/zero",
        "pipe:0",
        "-",
        "a\0b",
        "x" * 300,
    ],
)
def test_names_of_no_file_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        probe(Path(name))


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile secret.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".mpd"])
def test_a_script_opens_no_other_file(tmp_path, monkeypatch, script, suffix):
    """Not only is it refused in the end: its demuxer is never begun with."""
    secret = tmp_path / "secret.mp4"
    write_clip(secret, frames=3)
    path = tmp_path / f"script_LR_180{suffix}"
    path.write_text(script)
    opened: list[str] = []

    def io_open(url: str, _flags: int, _options: dict[str, str]) -> BinaryIO:
        opened.append(url)
        return io.BytesIO(Path(url.removeprefix("file:")).read_bytes())

    monkeypatch.setattr("av.open", functools.partial(av.open, io_open=io_open))
    with pytest.raises(InputError):
        probe(path)
    assert opened == [file_url(path)]


def test_errors_on_the_terminal_hold_no_escape_codes(tmp_path):
    source = tmp_path / "\x1b]0;x\x07\n.mp4"
    source.write_text("no video")
    job = JobProcess(["run", str(source), "--out", str(tmp_path / "out")], tmp_path / "log")
    assert job.wait() == 3
    assert job.errors.count("\n") == 1
    assert "\x1b" not in job.errors


def test_the_source_is_never_replaced(tmp_path):
    """`{stem}` in the source's own folder is the source's own name."""
    source = tmp_path / "clip.mp4"
    write_clip(source, frames=4)
    content = source.read_bytes()
    config = brightness_config(
        {
            "input": {"layout": "side_by_side", "projection": "half_equirect"},
            "output": {"deliver": ["greenscreen"], "name_template": "{stem}"},
        }
    )
    with pytest.raises(ConfigError, match=r'the name "clip\.mp4"'):
        matte_video(source, tmp_path, config)
    assert source.read_bytes() == content


# --- settings and documents ----------------------------------------------------------------------


def bounded(script: str, *arguments: object) -> None:
    """Run a script that may take 2 GB and a minute; it must end well."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    words = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        words, preexec_fn=limits, timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]


CONFIGS = {
    "bomb.yaml": "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(30)),
    "deep.yaml": "[" * 100_000,
    "deep-block.yaml": "- " * 100_000,
    "deep-keys.yaml": "? " * 100_000,
    "twice.yaml": "processing:\n  chunk_size: 3\n  chunk_size: 4\n",
    "tag.yaml": "!!python/object/apply:os.system ['true']",
    "large.yaml": "#" * 1_000_001,
    "many.yaml": "a: [" + "1," * 400_000 + "]",
    "hex.yaml": "processing: {chunk_size: 0x" + "f" * 5000 + "}",
    "sixties.yaml": "input: {start: " + "1:" * 400 + "0.5}",
    "deep.toml": "a = " + "[" * 100_000,
    "dotted.toml": ".".join("a" * 100_000) + " = 1",
    "quoted.toml": ".".join(['"\\""'] * 50_000) + " = 1",
    "table.toml": "[" + " . ".join("a" * 100_000) + "]",
    "inline.toml": "a = " + "{a=" * 100_000,
    "twice.toml": "[processing]\nchunk_size = 3\nchunk_size = 4\n",
    "hex.toml": "processing.chunk_size = 0x" + "f" * 5000,
    "unknown.yaml": "".join(f"unknown{i}: 1\n" for i in range(20_000)),
}


def test_hostile_settings_are_refused_in_bounded_memory_and_time(tmp_path):
    for name, text in CONFIGS.items():
        (tmp_path / name).write_text(text)
    script = (
        "import sys\nfrom pathlib import Path\nfrom vrmatte.errors import ConfigError\n"
        "from vrmatte.settings.load import load_config\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "  try: load_config([path])\n"
        "  except ConfigError as error: assert len(str(error)) < 5000, path\n"
        "  else: raise SystemExit(f'{path} was taken')\n"
    )
    bounded(script, tmp_path)


def document(**changes: object) -> str:
    source = {"fingerprint": "a", "frames": 9, "width": 8, "height": 4, "rate": "30/1"}
    shots = [{"first": 0, "last": 9}]
    whole = {"version": 1, "source": source, "shots": shots, "people": []}
    return json.dumps(whole | changes)


VIEWPORT = {"name": "\ud800", "first": 0, "last": 9, "fov": [9, 9], "turns": []}
RATE = {"fingerprint": "a", "frames": 9, "width": 8, "height": 4, "rate": "1e999999999"}
DOCUMENTS = {
    "deep": "[" * 100_000,
    "deep-objects": '{"a":' * 100_000,
    "digits": "1" * 1_000_000,
    "lists": "[" + "[]," * 20_000_000 + "[]]",
    "twice": "{" + "".join(f'"{i}":1,' for i in range(200_000)) + '"a":1,"a":2}',
    "rate": document(source=RATE),
    "surrogate": document(viewports=[VIEWPORT]),
    "endless": document(shots="X").replace('"X"', "Infinity"),
    "long-key": document(**{"k" * 1_000_000: 1}),
    "large": " " * 64_000_001,
}


def test_hostile_documents_of_people_are_refused_in_bounded_memory_and_time(tmp_path):
    (tmp_path / "fine.json").write_text(document())
    read_people(tmp_path / "fine.json")
    (tmp_path / "fine.json").unlink()
    for name, text in DOCUMENTS.items():
        (tmp_path / name).write_text(text)
    script = (
        "import sys\nfrom pathlib import Path\nfrom vrmatte.errors import ConfigError\n"
        "from vrmatte.people.read_document import read_people\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "  try: read_people(path)\n"
        "  except ConfigError as error: assert len(str(error)) < 1000, path\n"
        "  else: raise SystemExit(f'{path} was taken')\n"
    )
    bounded(script, tmp_path)


@pytest.mark.parametrize("text", ["inf", "nan", "-5", "1:-5", "1e400", "", ":"])
def test_times_that_are_none(text):
    with pytest.raises(ConfigError):
        load_config(overrides={"input.start": parse_time(text)})


# --- job files -----------------------------------------------------------------------------------

ESCAPES = ["../canary", "/etc/hostname", "a/../../canary", "link/canary", "a\0b", "", "."]


@pytest.fixture
def work(tmp_path) -> Path:
    """A job's folder beside a file that isn't its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "canary").write_text("alive")
    (folder / "link").symlink_to(tmp_path)
    return folder


def with_row(work: Path, table: str, file: str) -> None:
    (work / "piece").write_text("piece")
    with Manifest(work, work) as manifest:
        piece = ChunkFile(work / "piece", 5, "0" * 64, 1)
        manifest.commit_chunk(0, {"matte": piece}, {"matte": {}}, {})
        manifest.commit_product(manifest_product(work), {})
    with sqlite3.connect(work / "manifest.sqlite") as db:
        db.execute(f"UPDATE {table} SET file = ?", (file,))
    db.close()


def manifest_product(work: Path) -> Product:
    return Product("matte", "key", work / "piece", 5, "0" * 64, {})


@pytest.mark.parametrize("file", ESCAPES)
def test_manifests_name_no_file_outside_their_folder(work, file):
    with_row(work, "piece", file)
    key = sqlite3.connect(work / "manifest.sqlite").execute("SELECT key FROM piece").fetchone()[0]
    with Manifest(work, work) as manifest:
        for use in (
            lambda: manifest.piece(0, "matte", key),
            lambda: manifest.pieces("matte"),
            lambda: manifest.drop_pieces("matte"),
            lambda: manifest.forget_if_broken(0, "matte"),
            manifest.broken_pieces,
        ):
            with pytest.raises(OutputError, match="a file outside its folder"):
                use()
    assert (work.parent / "canary").read_text() == "alive"


@pytest.mark.parametrize("file", ESCAPES)
def test_finished_files_lie_in_the_output_folder(work, file):
    with_row(work, "product", file)
    with (
        Manifest(work, work) as manifest,
        pytest.raises(OutputError, match="a file outside its folder"),
    ):
        manifest.product("matte")


@pytest.mark.parametrize("value", ["[" * 100_000, "{", "9" * 9999, " " * (17 << 20)])
def test_broken_values_of_manifests_are_refused(work, value):
    with Manifest(work, work) as manifest:
        manifest.set_fact("video", "x")
    with sqlite3.connect(work / "manifest.sqlite") as db:
        db.execute("UPDATE fact SET value = ? WHERE name = 'video'", (value,))
    db.close()
    with Manifest(work, work) as manifest, pytest.raises(OutputError, match="can't be used"):
        manifest.fact("video")


@pytest.mark.parametrize("config", [[], "x", {"no": 1}, {"processing": {"chunk_size": "x"}}])
def test_settings_in_manifests_are_checked(work, config):
    with Manifest(work, work) as manifest:
        manifest.set_fact("video", "x")
        manifest.set_fact("engine", {"name": "rvm"})
        manifest.set_fact("config", config)
        with pytest.raises(OutputError):
            earlier_run(manifest)


@pytest.mark.parametrize("file", [*ESCAPES[:4], "..", ".", "", "a\\b", "a\nb"])
def test_listings_name_no_file_outside_their_folder(work, file):
    listing = work / "frames.json"
    row = {"number": 0, "file": file, "bytes": 5, "sha256": "0" * 64}
    listing.write_text(json.dumps({"frames": [row]}))
    (work / "frames").mkdir()
    with pytest.raises(VerificationError):
        drop_broken_frames(listing)
    assert (work.parent / "canary").read_text() == "alive"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"frames": [{"number": Infinity}]}', "[]", "9"])
def test_listings_that_are_none(work, text):
    (work / "frames.json").write_text(text)
    with pytest.raises(VerificationError):
        drop_broken_frames(work / "frames.json")


def finished(tmp_path, *deliver: str) -> tuple[Path, Path, Config]:
    source, out = tmp_path / "clip_LR_180.mp4", tmp_path / "out"
    write_clip(source, frames=6)
    output = {"deliver": list(deliver), "encoder": "software"}
    config = brightness_config(MATTES_ALONE, {"output": output})
    return source, out, config


def test_a_job_with_links_in_it_is_refused(tmp_path):
    source, out, config = finished(tmp_path, "matte-lossless")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    chunks = out / ".vrmatte" / source.stem / "chunks"
    chunks.mkdir(parents=True)
    (chunks / "000000").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a link"):
        matte_video(source, out, config)
    assert not list(elsewhere.iterdir())


def test_the_job_folder_may_be_on_another_drive(tmp_path):
    (tmp_path / "large-drive").mkdir()
    (tmp_path / ".vrmatte").symlink_to(tmp_path / "large-drive")
    with open_job_folder(tmp_path, "clip", fresh=False) as place:
        assert place.folder.is_dir()


def test_unfinished_files_that_are_links_arent_written_through(tmp_path):
    source, out, config = finished(tmp_path, "greenscreen", "png")
    canary, precious = tmp_path / "canary", tmp_path / "precious"
    canary.write_text("alive")
    precious.mkdir()
    (precious / "file").write_text("alive")
    out.mkdir()
    work = out / ".vrmatte"
    work.mkdir()
    (out / "clip_LR_180_report.json.part").symlink_to(canary)
    (work / "clip_LR_180.owner").symlink_to(canary)
    for name, target in (("greenscreen.mp4", canary), ("png", precious)):
        part = out / f"clip_LR_180_{name}.part"
        part.symlink_to(target)
        with pytest.raises(OutputError, match="was not written by this job"):
            matte_video(source, out, config)
        part.unlink()
    matte_video(source, out, config)
    assert canary.read_text() == "alive"
    assert (precious / "file").read_text() == "alive"
    assert (out / "clip_LR_180_greenscreen.mp4").is_file()
    assert not (out / "clip_LR_180_greenscreen.mp4").is_symlink()


def test_verify_says_what_a_changed_manifest_lacks(tmp_path):
    source, out, config = finished(tmp_path, "matte-lossless")
    matte_video(source, out, config)
    folder = out / ".vrmatte" / source.stem
    with Manifest(folder, out) as manifest:
        promised = manifest.fact("promised")
        assert isinstance(promised, dict)
        manifest.set_fact("promised", promised | {"hologram": "x"})
        manifest.set_fact("config:hologram", manifest.fact("config"))
        manifest.set_fact("chunk_frames", -3)
    problems = {piece.name: piece.problem for piece in verify_output(out)}
    assert "not among the files" in str(problems["hologram"])


def test_files_have_modes_of_their_own_folder(tmp_path, monkeypatch):
    """Nothing is writable for others, whatever the umask lets through."""
    source, out, config = finished(tmp_path, "matte-lossless")
    before = os.umask(0o022)
    try:
        matte_video(source, out, config)
    finally:
        os.umask(before)
    for path in out.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022, path


# --- stored states and networks ------------------------------------------------------------------


def test_a_state_reads_back(tmp_path):
    state = {"left/r1": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)}
    state["turned"] = np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3))
    read = load_state(save_state(state, tmp_path / "state.npz").path)
    assert read.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(read[name], array)


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_state_that_unpacks_to_more_than_it_is_isnt_unpacked(tmp_path):
    path = tmp_path / "state.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((200 << 20,)) + bytes(200 << 20))
    with pytest.raises(ChunkError, match="packed"):
        load_state(path)


@pytest.mark.parametrize(
    "content",
    [
        npy_header((1 << 50,)) + b"x",
        npy_header((2**40, 2**40)),
        npy_header((-1,)) + bytes(4),
        npy_header((1,), "|O") + b"\x80\x04N.",
        npy_header((1,), "<U1") + bytes(4),
        b"\x93NUMPY\x03\x00",
        b"",
    ],
)
def test_a_state_whose_headers_lie_is_refused(tmp_path, content):
    path = tmp_path / "state.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ChunkError, match="can't be used"):
        load_state(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04N."])
def test_a_state_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(ChunkError):
        load_state(tmp_path / "state.npz")


NAME = "rvm_mobilenetv3_fp32.onnx"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    for name in ("VRMATTE_MODELS_DIR", "VRMATTE_MIRROR_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights.cache_dir().mkdir(parents=True)
    return weights.cache_dir()


def never(*_: object, **__: object) -> None:
    raise AssertionError("a network was opened")


def test_a_tampered_network_is_never_opened(cache, monkeypatch):
    """In the cache only the registered digest counts."""
    around(monkeypatch, "onnxruntime.InferenceSession", never)
    (cache / NAME).write_bytes(b"tampered")
    assert locate_weights(NAME) is None
    with pytest.raises(WeightsError):
        choose_engine(Config.model_validate({"matting": {"engine": "rvm"}}))


def test_a_network_that_changes_after_it_was_chosen_is_never_opened(cache, monkeypatch):
    content = b"network"
    file = replace(
        registry.find_weights(NAME), size_bytes=7, sha256=hashlib.sha256(content).hexdigest()
    )
    register(monkeypatch, file)
    around(monkeypatch, "onnxruntime.InferenceSession", never)
    (cache / NAME).write_bytes(content)
    config = Config.model_validate({"matting": {"engine": "rvm"}})
    choice = choose_engine(config)
    assert get_weights(NAME).verified
    (cache / NAME).write_bytes(b"evil!!!")
    with pytest.raises(WeightsError, match="changed"):
        load_engine(choice, config)


def outside_tensor() -> TensorProto:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return tensor


@pytest.mark.parametrize("where", ["initializer", "attribute"])
def test_a_network_reads_no_other_file(where):
    """The weights of an ONNX file may be said to lie in any other file."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    stored = [outside_tensor()] if where == "initializer" else []
    if where == "attribute":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=outside_tensor()))
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    assert isinstance(model, onnx.ModelProto)
    with pytest.raises(WeightsError, match="other files"):
        open_session(model.SerializeToString(), "cpu")
