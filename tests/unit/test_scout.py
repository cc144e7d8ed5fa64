from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from support.faults import around
from vrmatte.commands.scout import scout_video
from vrmatte.demo.scene import Scene, render_pair
from vrmatte.errors import ConfigError
from vrmatte.frames import Eye
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.remap import make_sampling_grid, resample
from vrmatte.geometry.viewport import Turned, rotation_of
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint, scan_timeline
from vrmatte.people.brightness import BrightnessDetector
from vrmatte.people.yolox import open_detector
from vrmatte.progress import Advanced, Finished, Started, ignore
from vrmatte.scout import load_or_scout, people_file, scout, survey_frames
from vrmatte.settings.config import Config
from vrmatte.sheets.video_people import typical_frames

RATE = 20
EYE = 256
COLOURS = {"sky": (60, 90, 150), "wall": (60, 110, 60)}
BRIGHT = Config.model_validate({"detection": {"model": "brightness"}})


class NobodyThere:
    """Finds nobody."""

    input_px = 64

    def detect(self, pictures):
        return [[] for _ in pictures]


def eye_picture(ground, people):
    """A plain eye with bright ovals at (yaw, pitch), 16 x 40 degrees."""
    picture = np.full((EYE, EYE, 3), COLOURS[ground], np.uint8)
    at = (np.arange(EYE) + 0.5) * 180 / EYE
    yaw, pitch = np.meshgrid(at - 90, 90 - at)
    for person_yaw, person_pitch in people:
        inside = ((yaw - person_yaw) / 8) ** 2 + ((pitch - person_pitch) / 20) ** 2 <= 1
        picture[inside] = (250, 230, 230)
    return picture


def write_film(path, frames):
    """A video of (ground, people) per frame; the eyes see people 2 degrees apart."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 2 * EYE, EYE, "yuv420p"
        for ground, people in frames:
            eyes = [
                eye_picture(ground, [(yaw + shift, pitch) for yaw, pitch in people])
                for shift in (1, -1)
            ]
            picture = np.concatenate(eyes, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
    return path


def film(tmp_path):
    """One stands at -40; another is there from 23 to 51, after a cut from 70 on somebody else."""
    frames = []
    for i in range(110):
        first = [(-40, -10)] + ([(30, -10)] if 23 <= i <= 51 else [])
        frames.append(("sky", first) if i < 70 else ("wall", [(0, -20)]))
    return write_film(tmp_path / "film_180_LR.mp4", frames)


def scouted(path, observer=ignore, detector=None):
    source = probe(path)
    timeline = scan_timeline(source, ignore)
    return scout(source, timeline, detector or BrightnessDetector(), Config(), observer)


def test_shots_people_and_viewports(tmp_path):
    events = []
    found = scouted(film(tmp_path), events.append)
    assert [(s.first, s.last) for s in found.shots] == [(0, 70), (70, 110)]
    spans = [(p.id, p.first, p.last - 1) for p in found.people]
    # A tenth of a second, two frames here, is how exactly it is looked.
    assert spans[0] == (1, 0, 69)
    assert spans[1][:1] == (2,)
    assert 23 <= spans[1][1] <= 25
    assert 49 <= spans[1][2] <= 51
    assert spans[2] == (3, 70, 109)
    assert all(box.left and box.right for p in found.people for box in p.boxes)
    assert [v.name for v in found.viewports] == ["person-1", "person-2", "person-3"]
    assert found.viewports[2].first == 70
    assert isinstance(events[0], Started)
    assert events[0].total == sum(isinstance(e, Advanced) for e in events)
    assert events[-1] == Finished("scout")


def test_a_document_is_made_once_and_then_used_as_it_is(tmp_path, monkeypatch):
    video = film(tmp_path)
    source = probe(video)
    timeline = scan_timeline(source, ignore)
    path = people_file(video, tmp_path / "out")
    arguments = path, source, fingerprint(video), timeline, BRIGHT, ignore
    made = load_or_scout(*arguments)
    assert path.name == "film_people.json"

    tree = json.loads(path.read_text())
    tree["people"][1]["keep"] = False
    path.write_text(json.dumps(tree))
    edited = path.read_text()
    around(monkeypatch, "vrmatte.scout.open_detector", lambda *_: pytest.fail("scouted again"))
    used = load_or_scout(*arguments)
    assert path.read_text() == edited
    assert used.people[0] == made.people[0]
    assert [p.keep for p in used.people] == [True, False, True]
    assert [v.name for v in used.viewports] == ["person-1", "person-3"]

    del tree["viewports"]
    path.write_text(json.dumps(tree))
    assert load_or_scout(*arguments).viewports == used.viewports

    tree["source"]["width"] += 2
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match=r"another video: source\.width"):
        load_or_scout(*arguments)


def test_a_document_of_another_video_is_renamed_and_the_video_scouted(tmp_path):
    video = film(tmp_path)
    source = probe(video)
    timeline = scan_timeline(source, ignore)
    path = people_file(video, tmp_path)
    arguments = path, source, fingerprint(video), timeline, BRIGHT
    made = load_or_scout(*arguments, ignore)
    other = path.read_text().replace(fingerprint(video), "another")
    notices = []
    for number in (1, 2):
        path.write_text(other)
        assert load_or_scout(*arguments, notices.append) == made
        assert path.with_name(f"film_people.other-{number}.json").read_text() == other
        assert any("belongs to another video" in str(event) for event in notices)
    named = Config.model_validate({"people": {"file": path}})
    path.write_text(other)
    with pytest.raises(ConfigError, match=r"another video: source\.fingerprint"):
        load_or_scout(*arguments[:4], named, ignore)


def test_without_a_detector_nobody_is_found_and_nothing_is_written(tmp_path, monkeypatch):
    video = film(tmp_path)
    source = probe(video)
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    timeline = scan_timeline(source, ignore)
    path = tmp_path / "none_people.json"
    found = load_or_scout(path, source, "x", timeline, Config(), ignore)
    assert (found.people, found.viewports) == ((), ())
    assert not path.exists()


def test_a_document_that_was_named_must_be_there(tmp_path):
    video = film(tmp_path)
    config = Config.model_validate({"people": {"file": tmp_path / "mine.json"}})
    with pytest.raises(ConfigError, match=r"mine\.json does not exist"):
        scout_video(video, tmp_path / "out", config)


def timeline_of(seconds, rate=60):
    from vrmatte.frames import Timeline

    return Timeline(np.arange(seconds * rate, dtype=np.int64), Fraction(1, rate), seconds * rate)


def test_the_survey_looks_twice_a_second_and_at_both_ends():
    frames = survey_frames(timeline_of(3), (0, 100), 1024)
    assert frames == [0, 30, 60, 90, 120, 150, 179]


def test_large_videos_are_surveyed_at_key_frames():
    keys = tuple(range(0, 600, 55))
    frames = survey_frames(timeline_of(10), keys, 4096)
    assert set(frames) <= {*keys, 599}
    assert set(np.diff(frames)) == {55, 49}
    every_other = survey_frames(timeline_of(10), tuple(range(0, 600, 30)), 4096)
    assert np.diff(every_other).max() == 60
    # Too far apart, so the frames between are decoded.
    sparse = survey_frames(timeline_of(10), (0, 300), 4096)
    assert sparse == [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 599]


def test_one_frame_is_enough(tmp_path):
    found = scouted(write_film(tmp_path / "one.mp4", [("sky", [(0, -10)])]))
    assert [(p.first, p.last) for p in found.people] == [(0, 1)]


def test_the_sheet_shows_everybody(tmp_path):
    video = film(tmp_path)
    result = scout_video(video, tmp_path / "out", BRIGHT)
    frames = typical_frames(result.people)
    for person in result.people.people:
        assert any(person.seen_box_at(frame, Eye.LEFT) for frame in frames)
    assert result.sheet.read_bytes().startswith(b"\x89PNG")
    assert result.document.exists()


@pytest.mark.parametrize("roll_deg", [0, 0.6])
def test_the_lenses_are_compared(tmp_path, roll_deg):
    eye = HalfEquirect(512)
    rolled = make_sampling_grid(Turned(eye, rotation_of(roll_deg=roll_deg)), eye)
    video = tmp_path / "lenses.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1024, 512, "yuv420p"
        for index in range(4):
            left, right = render_pair(Scene(), 512, index).rgb
            planes = [resample(np.ascontiguousarray(right[..., i]), rolled) for i in range(3)]
            picture = np.concatenate([left, np.stack(planes, axis=2)], axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    lenses = scouted(video, detector=NobodyThere()).lenses
    assert lenses is not None
    # As test_lenses.py has it; a coarsely coded video is matched no worse.
    assert lenses.roll_deg == pytest.approx(roll_deg, abs=0.03)
    assert lenses.needs_correction == (roll_deg > 0)
    assert lenses.rows_agree


def test_a_plain_film_tells_nothing_of_the_lenses(tmp_path):
    assert scouted(write_film(tmp_path / "plain.mp4", [("sky", [])] * 30)).lenses is None


def test_long_videos_take_no_more_looks_at_the_lenses(tmp_path, monkeypatch):
    compared = []
    around(monkeypatch, "vrmatte.scout.matches_in", lambda _frame, eye: compared.append(eye))
    scouted(write_film(tmp_path / "long.mp4", [("sky", [])] * (12 * RATE)))
    assert len(compared) == 16


TRUTH = {
    "d1_center": [(0, 59)],
    "d2_close": [(0, 59)],
    "d3_cross": [(0, 71), (0, 71)],
    "d4_sides": [(0, 59), (0, 59)],
    "d5_enter_leave": [(0, 71), (24, 55)],
}


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_everybody_is_found_and_nobody_invented(bench_dir, models_dir, name):
    source = probe(bench_dir / f"{name}.mp4")
    detector = open_detector(Config())
    assert detector is not None
    found = scout(source, scan_timeline(source, ignore), detector, Config(), ignore)
    assert len(found.shots) == 1
    assert len(found.people) == len(TRUTH[name])
    for person, (first, last) in zip(found.people, TRUTH[name], strict=True):
        # 0.3 s at 30 frames a second.
        assert abs(person.first - first) <= 9
        assert abs(person.last - 1 - last) <= 9
        assert all(box.left and box.right for box in person.boxes)
        assert person.kind == "person"
    if name == "d3_cross":
        ends = [[p.boxes[at].boxes[0].center[0] for at in (0, -1)] for p in found.people]
        assert ends[0][0] < -20 < 20 < ends[0][1]
        assert ends[1][0] > 15 > -10 > ends[1][1]
