"""Whole runs of engine `sam2` with a small network of the real class and random weights.

Where such a network sees people means nothing; that every run sees them alike means much.
"""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from end_to_end.test_masked_runs import mattes
from end_to_end.test_masked_runs import settings as bright_settings
from support.faults import around
from support.matting.sam2_networks import tiny_model
from support.media.media_fixtures import write_clip
from vrmatte.commands.run import matte_video
from vrmatte.errors import StoppedError

FRAMES, CHUNK, JOINS = 12, 5, 6
"""Somebody joins within the second of three chunks."""
OPENS = 1
"""Their own view opens here; the other one shows a little of them too."""


def settings(chunk):
    return bright_settings(chunk, mask_model="sam2.1_hiera_tiny")


def two_people(index, size, pix_fmt, pts, time_base):
    """Two bright ovals in each eye, the right one only from some frame on."""
    frame = av.VideoFrame(size[0], size[1], pix_fmt)
    for number, plane in enumerate(frame.planes):
        high, wide = plane.height, plane.width
        down, across = np.mgrid[0.5:high, 0.5:wide] / high
        across = across % (wide / high / 2) / (wide / high / 2)
        samples = (30 + 30 * across) if number == 0 else np.full((high, wide), 128.0)
        for middle, colour in ((0.31 + 0.002 * index, 118), (0.605, 140))[: 1 + (index >= JOINS)]:
            oval = np.hypot((across - middle) / 0.12, (down - 0.5) / 0.28) < 1
            samples[oval] = 200 if number == 0 else colour
        stored = np.frombuffer(plane, np.uint8).reshape(high, -1)
        stored[:, :wide] = np.rint(samples)
    frame.pts, frame.time_base = pts, time_base
    return frame


@pytest.fixture
def looked():
    """Numbers of frames through which people were followed back, in all runs."""
    return []


@pytest.fixture
def sources(tmp_path, monkeypatch, looked):
    """Prompted and answered people of each call, in all runs."""
    folder = tmp_path / "models" / "sam2.1_hiera_tiny"
    tiny_model().save_pretrained(folder)
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(folder.parent))
    log = []

    def note(found, _source, view, _pictures, prompts):
        if not view.endswith("/again"):
            log.append(({prompt.person for prompt in prompts}, set(found)))

    source = "vrmatte.masks.sam2_source.Sam2Source"
    around(monkeypatch, f"{source}.masks", after=note)
    around(
        monkeypatch,
        f"{source}.before",
        lambda _source, frames, _prompts: looked.append(len(frames)),
    )
    return log


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "pair_LR_180.mp4"
    write_clip(path, size=(384, 192), frames=FRAMES, rate=Fraction(10), draw=two_people)
    return path


def after_one():
    """Stops a run once a chunk is made."""
    asked = iter((False, True))
    return lambda: next(asked, True)


def exclude(out, person):
    (document,) = out.glob("*_people.json")
    tree = json.loads(document.read_text())
    tree["people"][person]["keep"] = False
    document.write_text(json.dumps(tree))
    return document.read_text(), document.name


@pytest.mark.slow  # five runs, 13 s of processor time
def test_a_stopped_run_goes_on_bit_for_bit(clip, tmp_path, sources, looked):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    matte_video(clip, whole, settings(FRAMES))
    both = mattes(whole)
    assert any(matte.any() for matte in both)
    text, name = exclude(whole, 1)
    ids = [person["id"] for person in json.loads(text)["people"]]
    assert len(ids) == 2
    pointed, answered = (set.union(*of) for of in zip(*sources, strict=True))
    assert pointed == answered == set(ids)
    first = next(at for at, (people, _) in enumerate(sources) if ids[1] in people)
    assert not any(ids[1] in found for _, found in sources[:first]), (
        "who isn't there isn't followed"
    )

    sources.clear()
    looked.clear()
    matte_video(clip, whole, settings(FRAMES))
    made = mattes(whole)
    assert any(ids[1] in found for _, found in sources), "who is left out is followed too"
    assert any(not np.array_equal(a, b) for a, b in zip(both, made, strict=True))

    # The same people, cut into chunks, and stopped after the first and again after the second. The
    # first stop is in the midst of the frames through which somebody is followed back.
    parts.mkdir()
    (parts / name).write_text(text)
    stops = []
    for _ in range(2):
        with pytest.raises(StoppedError):
            matte_video(clip, parts, settings(CHUNK), stop=after_one())
        stops.append(len(list(parts.rglob("*.npz"))))
    matte_video(clip, parts, settings(CHUNK))
    assert stops == [1, 2], stops
    assert all(np.array_equal(a, b) for a, b in zip(made, mattes(parts), strict=True))
    assert looked == [JOINS + 1, JOINS + 1, JOINS + 1 - CHUNK]


@pytest.mark.slow  # four runs, 12 s of processor time
def test_people_are_followed_back_however_a_run_is_cut(
    clip, tmp_path, sources, looked, monkeypatch
):
    whole, short = tmp_path / "whole", tmp_path / "short"
    matte_video(clip, whole, settings(FRAMES))
    made = mattes(whole)
    matte_video(clip, short, settings(2))
    assert all(np.array_equal(a, b) for a, b in zip(made, mattes(short), strict=True))
    # Through two views, of which one opens later; again in each chunk until somebody is seen.
    assert looked == [7, 6, 7, 6, 5, 5, 3, 3]

    monkeypatch.setattr("vrmatte.matting.engines.masked.FollowsBack", type("Nobody", (), {}))
    plain = tmp_path / "plain"
    matte_video(clip, plain, settings(FRAMES))
    same = [np.array_equal(a, b) for a, b in zip(made, mattes(plain), strict=True)]
    # The first frame in which somebody is seen knows the mask of the one before.
    assert not any(same[OPENS:JOINS])
    assert all(same[JOINS + 1 :]), "what follows forwards is as it was"


@pytest.mark.slow  # four runs, 14 s of processor time
@pytest.mark.parametrize(("looks", "pictures"), [(3, 2), (4, 10)], ids=["back", "forward"])
def test_a_chunk_that_ran_out_of_memory_is_made_again_alike(
    clip, tmp_path, sources, looked, monkeypatch, looks, pictures
):
    """PyTorch runs out in the second chunk, while it follows people back, and when it has moved on.

    It looks back twice in each of the first two chunks.
    """
    matte_video(clip, tmp_path / "whole", settings(FRAMES))
    looked.clear()
    calls, said = [], []

    def short_once(*given):
        if len(looked) == looks:
            calls.append(given)
            if len(calls) == pictures:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    around(monkeypatch, "vrmatte.masks.sam2_network.Sam2Network.forward", short_once)
    out = tmp_path / "out"
    matte_video(clip, out, settings(CHUNK), observer=lambda e: said.append(getattr(e, "text", "")))
    told = [text for text in said if "ran out" in text]
    assert len(told) == 1
    assert told[0].startswith("memory ran out in chunk 1: from here on")
    made = zip(mattes(tmp_path / "whole"), mattes(out), strict=True)
    assert all(np.array_equal(a, b) for a, b in made)
