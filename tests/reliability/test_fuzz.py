"""Whatever a file says, reading it gives a result or an error of ours: no crash, hang or bomb.

A few cases of each run with all other tests, the same every time. Many more, and other ones:

    VRMATTE_FUZZ_CASES=10000 python -m pytest tests/reliability/test_fuzz.py --timeout 7200
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.media.media_fixtures import write_clip, write_faststart_clip
from support.paths import SUPPORT
from vrmatte.cli.options import parse_time
from vrmatte.deliverable_kinds import KINDS
from vrmatte.deliverables.names import output_name, refuse_shared_names
from vrmatte.errors import OutputError, VrmatteError
from vrmatte.files import ChunkFile
from vrmatte.jobs.manifest import Manifest, Product, earlier_run
from vrmatte.matting.engines.rvm import RvmEngine
from vrmatte.media.containers.spherical import inject_boxes, read_boxes
from vrmatte.media.naming import projection_from_name, strip_projection_tags
from vrmatte.media.sequences.sequence import read_listing
from vrmatte.people.document import as_json
from vrmatte.people.read_document import read_people
from vrmatte.settings.files import parse_value
from vrmatte.settings.keys import KEYS
from vrmatte.settings.load import load_config
from vrmatte.state_file import load_state, save_state

_TOLD = os.environ.get("VRMATTE_FUZZ_CASES")
CASES = int(_TOLD) if _TOLD else 60
_SECONDS = 20
"""What one case may take on a busy machine before it counts as a hang."""
_MEMORY_BYTES = 3 << 30

fuzzed = settings(
    max_examples=CASES,
    deadline=_SECONDS * 1000,
    derandomize=_TOLD is None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def accepts(read: Any, *arguments: Any) -> Any:
    """What is read, or None where it is refused in words of ours of bearable length."""
    try:
        return read(*arguments)
    except VrmatteError as error:
        told = str(error)
    assert told
    assert len(told) < 5000
    return None


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    result = bytearray(content)
    places = st.integers(0, max(0, len(result) - 1))
    for _ in range(draw(st.integers(0, 6))):
        at, cut = draw(places), draw(st.sampled_from((0, 1, 2, 4, 8, 100, 10**6)))
        result[at : at + cut] = draw(st.binary(max_size=8) | st.sampled_from(NUMBERS))
    return bytes(result)


NUMBERS = (b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", bytes(4), b"\x00\x00\x00\x01", b"9" * 40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from((10**400, -1, 2**31, 2**63, 1e308, "", "../x", "/etc/passwd", "\ud800", "\0"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


# --- settings ------------------------------------------------------------------------------------

MARKS = """
: |- |[|]|{|}|,|&a|*a|!!python/object:os.system|!|#|"|'|\\x|---|...|?|0x|0b1|1e9|.inf|.nan|1:1:1
2001-01-01|~|null|yes|true|<<|=|==|%TAG|[[a]]|[a.b]|a.b.c.=|\'\'\'|\\u|\\ud800|_|+|99999999999999999999
1979-05-27T07:32:00Z|processing:|  chunk_size:|[processing]
"""
PIECES = st.sampled_from(
    (
        *KEYS,
        *(name for key in KEYS for name in key.split(".")),
        *(mark for line in MARKS.split("\n") for mark in line.split("|")),
        *("\n", "\n  ", "\n    ", "\n- ", "\t", "\0", "\ufeff", "\x85", '"""'),
    )
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=25).map("".join)
CONFIG_LINES = st.lists(
    st.tuples(st.sampled_from((*KEYS, "no.key", "a")), SCALARS | VALUES), max_size=6
)


@fuzzed
@given(text=TEXTS, suffix=st.sampled_from((".yaml", ".toml")))
def test_text_of_settings(folder, text, suffix):
    path = folder / f"config{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    accepts(load_config, [path])


@fuzzed
@given(content=st.binary(max_size=200), suffix=st.sampled_from((".yaml", ".toml")))
def test_bytes_of_settings(folder, content, suffix):
    path = folder / f"bytes{suffix}"
    path.write_bytes(content)
    accepts(load_config, [path])


@fuzzed
@given(lines=CONFIG_LINES, suffix=st.sampled_from((".yaml", ".toml")))
def test_trees_of_settings(folder, lines, suffix):
    """Known keys with all kinds of values; JSON is YAML, and much of it TOML too."""
    joint = ": " if suffix == ".yaml" else " = "
    path = folder / f"tree{suffix}"
    text = "\n".join(f"{key}{joint}{json.dumps(value)}" for key, value in lines)
    path.write_text(text, encoding="utf-8")
    accepts(load_config, [path])


@fuzzed
@given(key=st.sampled_from((*KEYS, "no.key")), text=TEXTS)
def test_settings_of_the_command_line(key, text):
    accepts(load_config, (), [f"{key}={text}"])
    accepts(parse_value, text)


@fuzzed
@given(text=st.text(max_size=20) | st.text("0123456789:.,e-+ naif_", max_size=20))
def test_times(text):
    seconds = accepts(parse_time, text)
    if seconds is not None:
        accepts(load_config, (), (), None, {"input.start": seconds})


# --- names ---------------------------------------------------------------------------------------

FIELDS = st.sampled_from(
    [
        "{stem}",
        "{eye}",
        "{kind}",
        "{tags}",
        "{projection}",
        "{",
        "}",
        "{{",
        "}}",
        "{0}",
        "{}",
        "{stem[0]}",
        "{stem.x}",
        "{stem!r}",
        "{stem:9999999999}",
        "{stem:{eye}}",
        "../",
        "/",
        "\\",
        ".",
        "-",
        " ",
        "%d",
    ]
)


@fuzzed
@given(
    template=st.lists(FIELDS | st.text(max_size=4), max_size=12).map("".join),
    stem=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60),
)
def test_name_templates(template, stem):
    name = accepts(lambda: output_name(stem, KINDS["greenscreen"], "180", template=template))
    if name is not None:
        assert Path(name).name == name
        assert len(os.fsencode(name)) <= 250
        accepts(refuse_shared_names, [name, name.upper()], template)


@fuzzed
@given(
    stem=st.lists(
        st.sampled_from(
            [
                "LR",
                "RL",
                "180",
                "360",
                "TB",
                "3dh",
                "fisheye",
                "FISHEYE190",
                "alpha",
                "_",
                "-",
                ".",
                "(",
                ")",
                "[",
                "]",
                " ",
                "mkx200",
            ]
        )
        | st.text(max_size=3),
        max_size=60,
    ).map("".join)
)
def test_tags_of_file_names(stem):
    projection_from_name(stem)
    stripped = strip_projection_tags(stem)
    assert stripped
    assert strip_projection_tags(stripped) == stripped


# --- documents -----------------------------------------------------------------------------------


def places(value: object) -> list[tuple[Any, Any]]:
    """All containers of a tree, with each of their keys."""
    found: list[tuple[Any, Any]] = []
    keys = (
        value.keys()
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    for key in keys:
        found.append((value, key))
        found += places(value[key])  # type: ignore[index]
    return found


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """The document with some values replaced, taken out, or under another name."""
    tree = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        found = places(tree)
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[draw(st.text(max_size=6))] = holder.pop(key)
        else:
            holder[key] = draw(VALUES)
    return json.dumps(tree)


PEOPLE = json.dumps(
    {
        "version": 1,
        "source": {"fingerprint": "a", "frames": 9, "width": 8, "height": 4, "rate": "30000/1001"},
        "lenses": {"roll": 0.1, "pitch": 0, "toe_in": 0, "correct": True, "matches": 40},
        "shots": [{"first": 0, "last": 5}, {"first": 5, "last": 9}],
        "people": [
            {
                "id": 1,
                "kind": "person",
                "keep": True,
                "confidence": 0.9,
                "boxes": [
                    {"frame": 0, "left": [-10, 12, -40, 8], "score": 0.8},
                    {"frame": 4, "left": [-9, 12, -40, 8], "right": [-9, 12, -40, 8]},
                ],
            }
        ],
        "exclude_regions": [{"first": 0, "last": 9, "box": [-90, 90, -90, -60]}],
        "viewports": [
            {
                "name": "person-1",
                "first": 0,
                "last": 5,
                "fov": [40, 70],
                "turns": [{"frame": 0, "yaw": 1, "pitch": -16}, {"frame": 3, "yaw": 2, "pitch": 0}],
            }
        ],
    }
)


@fuzzed
@given(content=changed(PEOPLE).map(str.encode) | damaged(PEOPLE.encode()) | st.binary(max_size=60))
def test_documents_of_people(folder, content):
    path = folder / "clip_people.json"
    path.write_bytes(content)
    found = accepts(read_people, path)
    if found is not None:
        as_json(found[0]).encode()


LISTING = json.dumps(
    {
        "kind": "png",
        "frames": [
            {
                "number": n,
                "file": f"a_{n:06d}.png",
                "bytes": 9,
                "sha256": "0" * 64,
                "seconds": "1/30",
            }
            for n in range(3)
        ],
    }
)


@fuzzed
@given(content=changed(LISTING).map(str.encode) | damaged(LISTING.encode()))
def test_listings_of_sequences(folder, content):
    path = folder / "frames.json"
    path.write_bytes(content)
    found = accepts(read_listing, path)
    for frame in found[1] if found else ():
        assert Path(frame.file).name == frame.file


# --- job files -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """A manifest of one chunk and one finished file."""
    output = tmp_path_factory.mktemp("manifest")
    (output / "piece").write_bytes(b"piece")
    file = ChunkFile(output / "piece", 5, "0" * 64, 7)
    with Manifest(output, output) as made:
        made.set_fact("video", "/clip.mp4")
        made.set_fact("config", load_config().config.model_dump(mode="json"))
        made.set_fact(
            "engine",
            {
                "name": "rvm",
                "weights_name": "x",
                "weights_path": "",
                "weights_sha256": "",
                "licence": "",
                "verified": True,
                "notices": [],
            },
        )
        made.commit_chunk(0, {"matte": file}, {"matte": {"engine": "rvm"}}, {"matte": 1.0})
        made.commit_product(Product("matte", "k", output / "piece", 5, "0" * 64, {}), {})
    with sqlite3.connect(output / "manifest.sqlite") as db:
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()
    return output / "manifest.sqlite"


COLUMNS = {
    "fact": ("name", "value"),
    "piece": ("chunk", "name", "key", "parameters", "file", "bytes", "sha256", "frames"),
    "product": ("name", "key", "file", "bytes", "sha256", "checks"),
    "timing": ("chunk", "stage", "seconds"),
}
CELLS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=9)
    | st.text(st.characters(codec="utf-8"), max_size=9)
    | VALUES.map(lambda value: json.dumps(value))
    | st.sampled_from(("../canary", "/etc/hostname", "a/../../canary", "DEEP", ".", ""))
)
CHANGES = st.lists(
    st.sampled_from([(t, c) for t, names in COLUMNS.items() for c in names]).flatmap(
        lambda place: st.tuples(st.just(place[0]), st.just(place[1]), CELLS)
    ),
    min_size=1,
    max_size=3,
)


def read_manifest(work: Path) -> None:
    """Everything that reads, and what deletes."""
    with Manifest(work, work) as opened:
        for name in ("schema", "video", "config", "input"):
            accepts(opened.fact, name)
        accepts(earlier_run, opened)
        accepts(opened.piece, 0, "matte", "k")
        accepts(opened.piece_parameters, "matte")
        accepts(opened.broken_pieces)
        accepts(opened.products)
        accepts(opened.product_parameters, "matte")
        accepts(opened.forget_if_broken, 0, "matte")
        accepts(opened.drop_pieces, "matte")


def fresh_work(folder: Path, content: bytes) -> Path:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (folder / "canary").write_bytes(b"alive")
    (work / "manifest.sqlite").write_bytes(content)
    return work


@fuzzed
@given(changes=CHANGES)
def test_rows_of_manifests(folder, manifest, changes):
    work = fresh_work(folder, manifest.read_bytes())
    db = sqlite3.connect(work / "manifest.sqlite")
    for table, column, cell in changes:
        try:
            db.execute(
                f"UPDATE {table} SET {column} = ?", ("[" * 5000 if cell == "DEEP" else cell,)
            )
        except sqlite3.IntegrityError:
            continue
    db.commit()
    db.close()
    accepts(read_manifest, work)
    assert (folder / "canary").read_bytes() == b"alive"


@fuzzed
@given(data=st.data())
def test_bytes_of_manifests(folder, manifest, data):
    work = fresh_work(folder, data.draw(damaged(manifest.read_bytes())))
    accepts(read_manifest, work)
    assert (folder / "canary").read_bytes() == b"alive"


class NoNetwork:
    provider = "none"


def state_bytes(folder: Path) -> bytes:
    names = ("r1", "r2", "r3", "r4")
    state = {f"left/{name}": np.zeros((1, 2, 3, 4), np.float32) for name in names}
    state["left/size"] = np.array([1, 3, 6, 8], np.float32)
    return save_state(state, folder / "state.npz").path.read_bytes()


def zipped(members: list[tuple[str, bytes]], packing: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in dict(members).items():
            archive.writestr(name, content)
    return file.getvalue()


def array_bytes(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


ARRAYS = st.sampled_from(
    [
        array_bytes(v)
        for v in (
            np.zeros(3),
            np.zeros((1, 3, 6, 8), np.float32),
            np.float32(np.nan),
            np.array(["a"]),
            np.array([{}], object),
            np.array([np.inf, 1, 2, 3]),
        )
    ]
).flatmap(damaged)


@fuzzed
@given(data=st.data())
def test_stored_states(folder, data):
    whole = state_bytes(folder)
    members = st.lists(
        st.tuples(
            st.sampled_from(("left/r1.npy", "left/size.npy", "r4", "../x", "x/\u00fc")), ARRAYS
        )
    )
    archives = st.builds(zipped, members, st.sampled_from((0, 0, 8, 12)))
    path = folder / "fuzzed.npz"
    path.write_bytes(data.draw(damaged(whole) | archives))
    state = accepts(load_state, path)
    if state is not None:
        assert sum(array.nbytes for array in state.values()) <= path.stat().st_size
        # These `process_chunk` takes for a state that can't be used.
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            RvmEngine(NoNetwork()).restore(state)  # type: ignore[arg-type]


# --- videos --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    for name in ("plain.mp4", "plain.mkv"):
        write_clip(folder / name, size=(64, 32), frames=4, audio=("aac",))
    write_faststart_clip(folder / "fast.mp4", frames=4)
    marked = shutil.copy(folder / "plain.mp4", folder / "marked.mp4")
    inject_boxes(Path(marked), apple=True)
    return {path.name: path for path in folder.iterdir()}


def index_of(content: bytes) -> tuple[int, int]:
    start = content.index(b"moov") - 4
    return start, start + int.from_bytes(content[start : start + 4], "big")


@fuzzed
@given(data=st.data(), name=st.sampled_from(("plain.mp4", "fast.mp4", "marked.mp4")))
def test_boxes_of_mp4_files(folder, clips, data, name):
    content = clips[name].read_bytes()
    start, end = index_of(content)
    index = data.draw(damaged(content[start:end]))
    path = folder / "boxes.mp4"
    path.write_bytes(content[:start] + index + content[end:])
    accepts(read_boxes, path)
    try:
        inject_boxes(path)
    except OutputError:
        return
    accepts(read_boxes, path)


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.mark.parametrize("name", ["plain.mp4", "fast.mp4", "marked.mp4", "plain.mkv"])
def test_damaged_videos_are_probed(tmp_path, clips, name):
    """In a process of its own: a crash of FFmpeg would take all with it."""
    seed = 0 if _TOLD is None else random.SystemRandom().randrange(1 << 40)
    script = SUPPORT / "media" / "fuzzed_probe.py"
    command = [sys.executable, str(script), str(clips[name]), str(tmp_path), str(seed), str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=False)
    lines = done.stdout.splitlines() or ["nothing"]
    assert done.returncode == 0, f"{lines[-1]} of {name}: {done.returncode} {done.stderr[-2000:]}"
    assert lines[-1].startswith("done")
