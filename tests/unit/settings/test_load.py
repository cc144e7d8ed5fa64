"""Configuration: sources and their order, faults, notices, the starter file, the page of keys."""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.paths import REPOSITORY
from vrmatte.cli.config import init
from vrmatte.errors import ConfigError
from vrmatte.settings.choices import PRESETS
from vrmatte.settings.config import Config, OutputConfig
from vrmatte.settings.files import MAX_BYTES, parse_value, read_document
from vrmatte.settings.keys import KEYS, SECTIONS, nearest, value_of
from vrmatte.settings.load import (
    ResolvedConfig,
    format_config,
    load_config,
    starter_config,
    starter_toml,
)
from vrmatte.settings.notices import LIMITS, notices

SPEC_BASE = """\
input:
  video_path: "path/to/input.mp4"

processing:
  scale_factor: 0.5  # 0.25, 0.5, 1.0
  chunk_size: 900    # frames, 0 for full video
  overlap_frames: 60 # for chunked processing

detection:
  confidence_threshold: 0.7
  model: "yolov8n"   # yolov8n, yolov8s, yolov8m

matting:
  use_disparity_mapping: true
  memory_offload: true
  fp16: true

output:
  path: "path/to/output/"
  format: "alpha"     # "alpha" or "greenscreen"
  background_color: [0, 255, 0]  # for greenscreen
  maintain_sbs: true  # keep side-by-side format

hardware:
  device: "cuda"
  max_vram_gb: 10     # RTX 3080 limit
"""

SPEC_EXTENDED = """\
processing:
  chunk_size: 600  # Increase from 200 for high-VRAM systems
  memory_pipeline: false  # Skip intermediate video creation (disabled due to RAM limits)
  streaming_output: true  # Write chunks progressively instead of accumulating
  parallel_eyes: false  # Process eyes simultaneously
  max_memory_gb: 40  # Realistic RAM limit for RunPod containers

audio:
  preserve_audio: true  # Copy audio track from input to output
  verify_sync: true  # Validate frame count and duration matching
  audio_codec: "copy"  # Preserve original audio codec

stereo:
  consistency_mode: "master_slave"  # "independent", "master_slave", "joint"
  validation_threshold: 0.8  # Similarity threshold between eyes
  correction_method: "transfer"  # "transfer", "reprocess", "ensemble"

performance:
  profile_enabled: true  # Detailed timing analysis
  preserve_intermediates: false  # For debugging workflow

debugging:
  log_intermediate_workflow: true  # Document chunk lifecycle
  save_detection_visualization: false  # Debug detection mismatches
  frame_count_validation: true  # Ensure exact frame preservation
"""

WriteFile = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    def write_file(text: str | bytes, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_file


def fault_of(path: Path, **sources: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config([path], **sources)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.isprintable(), "an error is one line"
    return text.replace(f"{path.parent}{os.sep}", "")


# --- the specification's files ---------------------------------------------------------------


def test_spec_base_loads_unchanged(write: WriteFile) -> None:
    config = load_config([write(SPEC_BASE)]).config
    assert config.processing.scale_factor == 0.5
    assert (config.processing.chunk_size, config.processing.overlap_frames) == (900, 60)
    assert config.input.video_path == Path("path/to/input.mp4")
    assert config.output.background_color == (0, 255, 0)
    assert (config.hardware.device, config.hardware.max_vram_gb) == ("cuda", 10)
    assert config.deliverables == ("prores4444",)


def test_spec_extended_loads_unchanged(write: WriteFile) -> None:
    config = load_config([write(SPEC_EXTENDED)]).config
    assert (config.processing.chunk_size, config.processing.max_memory_gb) == (600, 40)
    assert config.stereo.consistency_mode == "master_slave"
    assert config.stereo.mode == "reference_eye"
    assert config.performance.profile_enabled


def test_spec_files_merge_in_order(write: WriteFile) -> None:
    base, extended = write(SPEC_BASE, "base.yaml"), write(SPEC_EXTENDED, "extended.yaml")
    merged = load_config([base, extended])
    assert merged.config.processing.chunk_size == 600
    assert merged.origins["processing.chunk_size"] == f"{extended}:2"
    assert merged.config.processing.overlap_frames == 60
    assert merged.origins["processing.overlap_frames"] == f"{base}:7"
    assert load_config([extended, base]).config.processing.chunk_size == 900


def test_shared_spec_files_load_unchanged() -> None:
    spec = REPOSITORY.parent / "shared" / "spec"
    files = [spec / "config_base.yaml", spec / "config_extended.yaml"]
    if not all(file.is_file() for file in files):
        pytest.skip("the specification's files are not here")
    assert load_config(files).config.processing.chunk_size == 600
    assert load_config(files[:1]).config.processing.chunk_size == 900
    assert load_config(files[1:]).config.stereo.correction_method == "transfer"


# --- sources and their order -----------------------------------------------------------------


def test_without_sources_everything_is_default() -> None:
    resolved = load_config()
    assert resolved.config == Config()
    assert resolved.origins == dict.fromkeys(KEYS, "default")


def test_each_source_wins_over_the_one_before(write: WriteFile) -> None:
    key = "output.quality"
    first, second = (
        write("output:\n  quality: 1\n", "a.yaml"),
        write("[output]\nquality=2", "b.toml"),
    )
    steps: list[tuple[ResolvedConfig, object, str]] = [
        (load_config(), None, "default"),
        (load_config(preset="draft"), 28, "preset draft"),
        (load_config([first], preset="draft"), 1, f"{first}:2"),
        (load_config([first, second], preset="draft"), 2, f"{second}:2"),
        (load_config([first, second], [f"{key}=3", f"{key}=4"], "draft"), 4, "--set"),
        (load_config([first], [f"{key}=3"], "draft", {key: 5}), 5, "command line"),
    ]
    for resolved, value, origin in steps:
        assert (value_of(resolved.config, key), resolved.origins[key]) == (value, origin)


def test_override_of_none_was_not_given() -> None:
    resolved = load_config(assignments=["output.quality=7"], overrides={"output.quality": None})
    assert resolved.config.output.quality == 7


def test_overrides_keep_paths_and_tuples() -> None:
    hostile = Path("caf\udce9.mp4")  # how Python holds a file name that isn't UTF-8
    given: dict[str, object] = {"input.video_path": hostile, "output.deliver": ("matte", "matte")}
    config = load_config(overrides=given).config
    assert config.input.video_path == hostile
    assert config.deliverables == ("matte",)


def test_null_resets_a_key_and_empty_sections_are_fine(write: WriteFile) -> None:
    base = write("output:\n  quality: 5\n", "a.yaml")
    reset = write("processing:\noutput:\n  quality: null\n", "b.yaml")
    assert load_config([base, reset]).config.output.quality is None
    assert load_config([base], ["output.quality="]).config.output.quality is None


@pytest.mark.parametrize("text", ["", "\n", "# only words\n", "---\n", "\ufeff"])
@pytest.mark.parametrize("name", ["run.yaml", "run.yml"])
def test_empty_files_are_fine(write: WriteFile, text: str, name: str) -> None:
    assert load_config([write(text, name)]).config == Config()


def test_empty_toml_is_fine(write: WriteFile) -> None:
    assert load_config([write("", "run.TOML")]).config == Config()


def test_toml_means_the_same_as_yaml(write: WriteFile) -> None:
    toml = write(
        'processing.chunk_size = 5\n[output]\ndeliver = ["matte"]\nbackground_color = [1, 2, 3]\n'
        "[output.alpha_packed]\nfov_deg = 200\n[hardware]\nthreads=2",
        "run.toml",
    )
    resolved = load_config([toml])
    assert resolved.config.output.deliver == ("matte",)
    assert resolved.config.output.background_color == (1, 2, 3)
    lines = {key: origin.rpartition(":")[2] for key, origin in resolved.origins.items()}
    assert lines["processing.chunk_size"] == "1"
    assert lines["output.alpha_packed.fov_deg"] == "6"
    assert lines["hardware.threads"] == "8"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("300", 300),
        ("1e1", 10.0),
        ("1E-3", 0.001),
        ("true", True),
        ("", None),
        ("[0, 0, 255]", [0, 0, 255]),
        ("[matte, greenscreen]", ["matte", "greenscreen"]),
        ("2024-01-01", "2024-01-01"),
        ("C:\\clips\\in.mp4", "C:\\clips\\in.mp4"),
    ],
)
def test_values_on_the_command_line(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_encoder_presets_may_be_numbers(write: WriteFile) -> None:
    assert load_config([write("output:\n  preset: 8\n")]).config.output.preset == "8"


def test_presets_set_only_keys_that_have_an_effect() -> None:
    assert load_config(preset="balanced").config == Config()
    limited = {limit.key for limit in LIMITS}
    for name, values in PRESETS.items():
        assert limited.isdisjoint(values)
        assert notices(load_config(preset=name)) == []


# --- faults ----------------------------------------------------------------------------------


def test_all_faults_of_a_file_at_once_in_order(write: WriteFile) -> None:
    path = write(
        "processing:\n  chunksize: 3\n  overlap_frames: many\n  scale_factor: 7\n"
        "detction:\n  model: yolov8n\noutput:\n  background_color: [0, 256, 0]\n"
    )
    assert fault_of(path).split("; ") == [
        "run.yaml:2: unknown key processing.chunksize, did you mean processing.chunk_size?",
        'run.yaml:3: processing.overlap_frames can\'t be "many", it takes a whole number from 0 up',
        "run.yaml:4: processing.scale_factor can't be 7, "
        "it takes auto or a number above 0 and up to 1",
        "run.yaml:5: unknown key detction, did you mean detection?",
        "run.yaml:8: output.background_color can't be [0, 256, 0], "
        "it takes a list of 3, each item a whole number from 0 to 255",
    ]


def test_faults_of_all_sources_at_once(write: WriteFile) -> None:
    text = fault_of(
        write("- a"),
        assignments=["chunk_size", "processing.chunk_size=[", "hardware.device=gpu"],
        preset="fast",
        overrides={"output.quality": 99},
    )
    assert [fault.split(":")[0] for fault in text.split("; ")] == [
        'unknown preset "fast", choose one of draft, balanced, best',
        "run.yaml",
        "--set chunk_size",
        "--set processing.chunk_size=[",
        "--set",
        "command line",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "run.yaml: must contain sections such as 'processing:', not a list"),
        ("words", "not a single value"),
        ("processing: 5", "run.yaml:1: processing can't be 5, it is a section with the keys scale"),
        ("a: &x [1]\nb: *x", "run.yaml:1: anchors and aliases (& and *) are not accepted"),
        ("a: !!python/object:os.system x", "run.yaml:1: tags are not accepted (tag:yaml.org"),
        ("a: !x 1", "tags are not accepted (!x)"),
        ("a: 1\nb: 2\na: 3", "run.yaml:3: a is set here and in line 1, keep one"),
        ("processing:\n  chunk_size: 1\n  chunk_size: 2", "run.yaml:3: processing.chunk_size"),
        ("processing.chunk_size: 1\nprocessing: {chunk_size: 2}", "run.yaml:2: processing.chunk"),
        ("a: b: c", "run.yaml:1: mapping values are not allowed here"),
        ("---\na: 1\n---\nb: 2", "run.yaml:3: expected a single document"),
        ("? [a]\n: 3", "run.yaml:1: a key must be a single word"),
        ("<<: {a: 1}", "run.yaml:1: unknown key <<, the sections are input, processing"),
        ("a: " + "[" * 60, "run.yaml:1: nested more than 32 levels deep"),
        ("a: \x00", "run.yaml: unacceptable character #x0000"),
        ("processing: {chunk_size: 0b_}", "run.yaml:1: this looks like a number but"),
        (f"processing: {{chunk_size: {'9' * 5000}}}", "run.yaml:1: this looks like a number but"),
        ("processing:\n  chunk_size: -1", "run.yaml:2: processing.chunk_size can't be -1"),
        ("processing: {chunk_size: 900.0}", "can't be 900.0, it takes a whole number from 0 up"),
        ("processing: {chunk_size: true}", "can't be true, it takes a whole number"),
        ("processing: {parallel_eyes: 1}", "can't be 1, it takes true or false"),
        ("matting: {fp16: 'yes'}", 'can\'t be "yes", it takes true or false'),
        ("processing: {chunk_size: {a: 1}}", 'can\'t be {"a": 1}, it takes a whole number'),
        ("output: {deliver: matte}", "it takes a list, each item matte, matte-lossless, xalpha,"),
        ("output: {path: 5}", "output.path can't be 5, it takes a path, or null"),
        ('output: {path: "\\udcff"}', "output.path can't be"),
        ("input: {start: .nan}", "input.start can't be NaN"),
        ("input: {end: .inf}", "input.end can't be Infinity"),
        (
            "hardware: {device: gpu}",
            "it takes auto, cpu, cuda, tensorrt, directml, coreml or openvino",
        ),
        ("audio: {audio_codec: aac}", 'audio.audio_codec can\'t be "aac", it takes copy'),
        ("stereo: {consistency_mode: left}", "independent, master_slave, reference_eye or joint"),
        (f"output: {{preset: [{'x' * 900}]}}", "output.preset can't be [\"xxxx"),
        ("output: {alpha_packed: {fov: 190}}", "did you mean output.alpha_packed.fov_deg?"),
        (
            "input:\n  start: 10\n  end: 5",
            "run.yaml:2, run.yaml:3: input: end (5 s) must come after",
        ),
    ],
)
def test_yaml_faults(write: WriteFile, text: str, expected: str) -> None:
    fault = fault_of(write(text))
    assert expected in fault
    assert len(fault) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[processing]\nchunk_size = 'x'\n", 'run.toml:2: processing.chunk_size can\'t be "x"'),
        ("[processing]\nchunk_size = \n", "run.toml:2: Invalid value"),
        ("[a]\n[a]\n", "run.toml:2: Cannot declare"),
        ("x = " + "[" * 5000, "run.toml: "),
        ("x = " + "[" * 40 + "]" * 40, "run.toml: nested more than 32 levels deep"),
        ("[[processing]]\n", "processing can't be [{}], it is a section with the keys"),
        ("[processing]\nchunk_size = 2024-01-01\n", 'chunk_size can\'t be "2024-01-01"'),
        (f"x = {'9' * 5000}", "run.toml: "),
    ],
)
def test_toml_faults(write: WriteFile, text: str, expected: str) -> None:
    assert expected in fault_of(write(text, "run.toml"))


def test_rules_between_keys_are_judged_after_merging(write: WriteFile) -> None:
    path = write("input:\n  start: 10\n  end: 5\n")
    assert load_config([path], ["input.end=50"]).config.input.start == 10
    fault = fault_of(write("input:\n  start: 10\n"), assignments=["input.end=5"])
    assert fault == "run.yaml:2, --set: input: end (5 s) must come after start (10 s)"


def test_files_that_cannot_be_read(write: WriteFile, tmp_path: Path) -> None:
    assert "no such file or directory" in fault_of(tmp_path / "missing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert "can't read this configuration file" in fault_of(tmp_path / "folder.yaml")
    assert "must end in .yaml, .yml or .toml" in fault_of(write("{}", "run.json"))
    assert "not a text file in UTF-8 (byte 0)" in fault_of(write(b"\xff\xfe\x00binary"))
    assert "larger than 1000 kB" in fault_of(write(b"#" * (MAX_BYTES + 1)))
    assert load_config([write(b"#" * MAX_BYTES)]).config == Config()


def test_depth_of_32_is_accepted(write: WriteFile) -> None:
    nested = "[" * 31 + "]" * 31
    assert read_document(write(f"a: {nested}")).lines == {"a": 1}
    assert read_document(write(f"a = {nested}", "run.toml")).lines == {"a": 1}


def test_a_flood_of_faults_is_cut_short(write: WriteFile) -> None:
    faults = fault_of(write("".join(f"key{i}: 1\n" for i in range(50)))).split("; ")
    assert len(faults) == 21
    assert faults[-1] == "and 30 more faults"


def test_hostile_keys_stay_on_one_line(write: WriteFile) -> None:
    fault_of(write('"a\\nb": 1'))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_hostile_names_stay_on_one_line(write: WriteFile) -> None:
    fault_of(write("a: b: c", "line\nbreak.yaml"))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("processing.chunksize", "processing.chunk_size"),
        ("chunk_size", "processing.chunk_size"),
        ("output.device", "hardware.device"),
        ("matting.model", "detection.model"),
        ("hardwear", "hardware"),
        ("alpha_packed", "output.alpha_packed"),
        ("backgroundcolor", "output.background_color"),
        ("zzz", None),
    ],
)
def test_nearest_key(wrong: str, meant: str | None) -> None:
    assert nearest(wrong) == meant


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
@pytest.mark.parametrize("name", ["fuzz.yaml", "fuzz.toml"])
def test_any_content_loads_or_is_a_config_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    fault = "none"
    try:
        load_config([path])
    except ConfigError as error:
        fault = str(error)
    assert fault.isprintable()


# --- written configurations ------------------------------------------------------------------


def test_format_config_loads_to_the_same_settings(write: WriteFile) -> None:
    odd: dict[str, object] = {
        "input.video_path": Path("a #b: 'c' \"d\" \\ ü 😀.mp4"),
        "input.start": 1e-05,
        "output.deliver": ("matte", "greenscreen"),
        "output.preset": "8",
    }
    resolved = load_config([write(SPEC_BASE)], overrides=odd)
    for origins in (True, False):
        written = write(format_config(resolved, origins), "written.yaml")
        assert load_config([written]).config == resolved.config


def test_format_config_names_origins(write: WriteFile) -> None:
    path = write(SPEC_EXTENDED)
    text = format_config(load_config([path], ["hardware.threads=2"], "draft"))
    assert re.search(rf"^  chunk_size: 600 +# {re.escape(str(path))}:2$", text, re.MULTILINE)
    assert re.search(r"^  threads: 2 +# --set$", text, re.MULTILINE)
    assert re.search(r"^  quality: 28 +# preset draft$", text, re.MULTILINE)
    assert re.search(r"^    fov_deg: 190 +# default$", text, re.MULTILINE)
    assert "#" not in format_config(load_config(), origins=False)


def test_starter_changes_nothing_and_says_nothing(write: WriteFile) -> None:
    resolved = load_config([write(starter_config())])
    assert resolved == load_config()
    assert notices(resolved) == []


def test_starter_with_every_key_taken_in_is_the_defaults(write: WriteFile) -> None:
    everything = re.sub(r"^( +)#(\w)", r"\1\2", starter_config(), flags=re.MULTILINE)
    resolved = load_config([write(everything)])
    assert resolved.config == Config()
    assert {key for key, origin in resolved.origins.items() if origin == "default"} == DEPRECATED


# --- the table of keys, notices, and the page ------------------------------------------------


def test_every_key_is_described() -> None:
    for key in KEYS.values():
        assert key.meaning, key.path
        assert key.accepted, key.path
    inside_output = {"output.alpha_packed", "output.edge", "output.foreground"}
    assert set(SECTIONS) == {*Config.model_fields, *inside_output}
    assert all(SECTIONS.values())


DEPRECATED = {"processing.memory_pipeline", "processing.streaming_output", "audio.audio_codec"}


def test_deprecated_keys_are_accepted_and_hidden(write: WriteFile) -> None:
    assert {key.path for key in KEYS.values() if key.is_deprecated} == DEPRECATED
    assert DEPRECATED.isdisjoint(limit.key for limit in LIMITS)
    schema = Config.model_json_schema()["$defs"]
    assert schema["ProcessingConfig"]["properties"]["memory_pipeline"]["deprecated"] is True
    extended = load_config([write(SPEC_EXTENDED)])
    assert "memory_pipeline" in format_config(extended)
    for text in (starter_config(), format_config(load_config())):
        assert not any(f"{key.rpartition('.')[2]}:" in text for key in DEPRECATED)


def test_limits_are_about_known_keys() -> None:
    assert {limit.key for limit in LIMITS} <= set(KEYS)


def test_notices_of_the_spec_files(write: WriteFile) -> None:
    base, extended = write(SPEC_BASE, "base.yaml"), write(SPEC_EXTENDED, "extended.yaml")
    said = notices(load_config([base, extended]))
    assert said == []  # they ask for CUDA, where all of it has an effect
    said = notices(load_config([base, extended], ["hardware.device=cpu"]))
    assert [line.removeprefix(f"{base.parent}{os.sep}").split(" = ")[0] for line in said] == [
        "base.yaml:15: matting.memory_offload",
        "base.yaml:16: matting.fp16",
        "base.yaml:26: hardware.max_vram_gb",
    ]
    assert said[1].endswith(
        "matting.fp16 = true has no effect on this device: "
        "only CUDA, TensorRT and CoreML use half precision"
    )


@pytest.mark.parametrize(
    ("assignments", "noticed"),
    [
        (["processing.chunk_size=0"], True),
        (["processing.chunk_size=300"], False),
        (["processing.memory_pipeline=true"], True),
        (["processing.memory_pipeline=false"], False),
        (["processing.streaming_output=false"], True),
        (["processing.streaming_output=true"], False),
        (["detection.confidence_threshold=0.5"], False),
        (["detection.model=yolov8n"], False),
        (["detection.model=yolox_m"], True),
        (["detection.model=yolox_s"], False),
        (["people.viewer_body=exclude", "people.file=people.json"], False),
        (["matting.use_disparity_mapping=true"], False),
        (["matting.use_disparity_mapping=false"], False),
        (["matting.memory_offload=true", "hardware.device=cpu"], True),
        (["matting.memory_offload=true"], False),
        (["matting.memory_offload=false"], False),
        (["matting.fp16=true", "hardware.device=openvino"], True),
        (["matting.fp16=true", "hardware.device=coreml"], False),
        (["matting.fp16=true"], False),
        (["matting.fp16=false"], False),
        (["input.lens=mkx200"], False),
        (["output.format=alpha"], False),
        (["output.format=greenscreen"], False),
        (["output.format=greenscreen", "output.deliver=[matte]"], True),
        (["output.alpha_container=exr"], True),
        (["output.alpha_container=exr", "output.format=alpha"], False),
        (["output.alpha_container=exr", "output.format=greenscreen"], True),
        (["output.alpha_container=prores4444"], False),
        (["output.name_template='{stem}_{kind}'"], False),
        (["output.name_template='{stem}_{kind}'", "output.deliver=[png, xalpha]"], True),
        (["output.background_color=[0, 0, 255]"], True),
        (["output.background_color=[0, 255, 0]"], False),
        (["output.background_color=[0, 0, 255]", "output.deliver=[greenscreen]"], False),
        (["output.maintain_sbs=false"], True),
        (["output.maintain_sbs=false", "output.deliver=[png, alpha-packed]"], True),
        (["output.maintain_sbs=false", "output.deliver=[png]"], False),
        (["output.maintain_sbs=true"], False),
        (["output.projection=fisheye"], True),
        (["output.projection=fisheye", "output.deliver=[matte, alpha-packed]"], False),
        (["output.projection=source"], False),
        (["output.fisheye_fov_deg=200", "output.deliver=[matte]"], True),
        (["output.prores_alpha_bits=8"], True),
        (["output.prores_alpha_bits=8", "output.deliver=[prores4444]"], False),
        (["output.prores_alpha_bits=16"], False),
        (["output.apple_boxes=true"], True),
        (["output.apple_boxes=true", "output.deliver=[webm-alpha, prores4444]"], False),
        (["output.apple_boxes=true", "output.deliver=[matte-lossless, png]"], True),
        (["output.apple_boxes=false"], False),
        (["output.verify_alpha=false"], False),
        (["output.verify_alpha=false", "output.deliver=[matte]"], True),
        (["output.edge.choke_px=1", "output.edge.feather_px=2"], False),
        (["output.foreground.estimate='on'"], False),
        (["output.foreground.estimate='on'", "output.deliver=[matte, xalpha]"], True),
        (["output.foreground.estimate=auto", "output.deliver=[matte]"], False),
        (["output.foreground.despill=0.5", "output.deliver=[matte-lossless]"], True),
        (["output.foreground.despill=0.5", "output.deliver=[matte, exr]"], False),
        (["output.alpha_packed.fov_deg=200"], False),
        (["output.alpha_packed.fov_deg=200", "output.deliver=[matte]"], True),
        (["output.alpha_packed.fov_deg=190", "output.deliver=[matte]"], False),
        (["output.alpha_packed.channel=red", "output.deliver=[matte]"], True),
        (["hardware.max_vram_gb=10"], False),
        (["hardware.max_vram_gb=10", "hardware.device=cpu"], True),
        (["hardware.max_vram_gb=null", "hardware.device=cpu"], False),
        (["hardware.device=cuda"], False),
        (["stereo.consistency_mode=joint"], False),
        (["stereo.consistency_mode=independent"], False),
        (["stereo.warn_threshold=0.9", "stereo.validation_threshold=0.8"], False),
        (["stereo.correction_method=transfer"], False),
        (["debugging.save_detection_visualization=true"], False),
        (["debugging.save_detection_visualization=false"], False),
        (["performance.profile_enabled=true", "audio.preserve_audio=false"], False),
    ],
)
def test_notices(assignments: list[str], noticed: bool) -> None:
    said = notices(load_config(assignments=assignments))
    assert len(said) == int(noticed)
    key = assignments[0].partition("=")[0]
    assert all(line.startswith(f"--set: {key} = ") for line in said)


@pytest.mark.parametrize(
    ("assignments", "noticed"),
    [
        (
            ["output.projection=fisheye", "output.fisheye_fov_deg=200"],
            ["output.projection", "output.fisheye_fov_deg"],
        ),
        (
            [
                "output.projection=fisheye",
                "output.fisheye_fov_deg=200",
                "output.apple_boxes=true",
                "output.deliver=[matte]",
            ],
            ["output.apple_boxes"],
        ),
        (
            ["matting.use_disparity_mapping=true", "stereo.consistency_mode=independent"],
            ["matting.use_disparity_mapping"],
        ),
        (
            ["matting.use_disparity_mapping=false", "stereo.consistency_mode=joint"],
            ["stereo.consistency_mode"],
        ),
        (["matting.use_disparity_mapping=false", "stereo.consistency_mode=independent"], []),
        (
            ["matting.use_disparity_mapping=false", "stereo.warn_threshold=0.9"],
            ["stereo.warn_threshold"],
        ),
        (
            ["stereo.consistency_mode=independent", "stereo.validation_threshold=0.9"],
            ["stereo.validation_threshold"],
        ),
        (
            ["stereo.consistency_mode=independent", "stereo.correction_method=transfer"],
            ["stereo.correction_method"],
        ),
    ],
)
def test_notices_of_keys_that_need_each_other(assignments: list[str], noticed: list[str]) -> None:
    said = notices(load_config(assignments=assignments))
    assert [line.removeprefix("--set: ").split(" = ")[0] for line in said] == noticed


def test_defaults_say_nothing() -> None:
    assert notices(load_config()) == []


def test_lists_are_shown_as_written() -> None:
    (said,) = notices(load_config(assignments=["output.background_color=[0, 0, 255]"]))
    assert said == (
        "--set: output.background_color = [0, 0, 255] has no effect here: "
        "no greenscreen file is made"
    )


@pytest.fixture
def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", REPOSITORY / "scripts/make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_of_keys_is_up_to_date(make_docs: ModuleType) -> None:
    assert make_docs.main(["--check"]) == 0, "run python scripts/make_docs.py"
    page = make_docs.PAGE.read_text(encoding="utf-8")
    for key in KEYS.values():
        name = key.path if key.is_deprecated else key.name
        assert f"| `{name}` | {key.accepted} |" in page


def test_stale_or_missing_page_fails_the_check(
    make_docs: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "config.md"
    assert make_docs.main(["--check"], page) == 1
    assert make_docs.main([], page) == 0
    assert make_docs.main(["--check"], page) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("190", "191"), encoding="utf-8")
    assert make_docs.main(["--check"], page) == 1
    assert "out of date" in capsys.readouterr().err


def test_format_says_which_file_is_made() -> None:
    assert Config().deliverables == ("alpha-packed",)
    assert Config(output=OutputConfig(format="greenscreen")).deliverables == ("greenscreen",)
    assert Config(output=OutputConfig(format="alpha")).deliverables == ("prores4444",)
    folder = OutputConfig(format="alpha", alpha_container="exr")
    assert Config(output=folder).deliverables == ("exr",)


def test_deliverables_without_repeats() -> None:
    config = Config(output=OutputConfig(deliver=("matte", "greenscreen", "matte")))
    assert config.deliverables == ("matte", "greenscreen")


def test_a_toml_file_to_start_from_holds_every_default(tmp_path: Path) -> None:
    text = starter_toml()
    assert tomllib.loads(text) == {}, "nothing is set until it is edited"
    lines = [line for line in text.splitlines() if re.match(r"#\w", line)]
    assert len(lines) == sum(not key.is_deprecated for key in KEYS.values())
    path = tmp_path / "all.toml"
    path.write_text("\n".join(line[1:] for line in lines if "unset by default" not in line))
    assert load_config([path]).config == Config()


@pytest.mark.parametrize("suffix", [".toml", ".yaml"])
def test_config_init_writes_the_format_of_the_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"vrmatte{suffix}"
    init(path)
    assert load_config([path]).config == Config()
    with pytest.raises(ConfigError, match="exists already"):
        init(path)


def test_config_init_refuses_other_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"accepted are names that end in \.yaml"):
        init(tmp_path / "vrmatte.ini")
