import numpy as np
import pytest

from matting_pictures import clip_frames, crop, deeper, from_rgb, soft_rgb
from vrmatte.errors import WeightsError
from vrmatte.frames import EYES, ColorTags
from vrmatte.matting.selfie import SelfieEngine


@pytest.fixture
def weights(models_dir) -> bytes:
    return (models_dir / "selfie_segmentation.tflite").read_bytes()


@pytest.fixture
def views(bench_dir):
    (frame,) = clip_frames(bench_dir, "d2_close", 1)
    return [frame.eye(eye) for eye in EYES]


def test_a_person_is_found_in_both_eyes(weights, views, bench_dir):
    (truth,) = clip_frames(bench_dir, "d2_close", 1, kind="alpha.mkv")
    mattes = SelfieEngine(weights).matte(views)
    for matte, eye in zip(mattes, EYES, strict=True):
        alpha = truth.eye(eye).y
        both = ((matte > 127) & (alpha > 127)).sum()
        assert matte.shape == alpha.shape
        assert both / ((matte > 127) | (alpha > 127)).sum() > 0.8


def test_nobody_is_nobody(weights):
    (matte,) = SelfieEngine(weights).matte([from_rgb(np.full((200, 320, 3), 0.5))])
    assert matte.mean() < 13, "more than a twentieth of an empty picture is taken for a person"


def test_frames_do_not_depend_on_each_other(weights, views):
    engine = SelfieEngine(weights)
    fresh = engine.matte(views)
    assert engine.state() == {}
    assert engine.warmup_frames == 0
    engine.matte([from_rgb(soft_rgb(64, 64))])
    engine.restore({})
    engine.reset()
    again = engine.matte(views)
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))
    assert np.array_equal(engine.matte(views[1:])[0], fresh[1])


def test_depth_and_range_do_not_matter(weights, views):
    engine = SelfieEngine(weights)
    part = crop(views[0], 256, 256, 512, 640)
    (matte,) = engine.matte([part])
    (ten,) = engine.matte([deeper(part)])
    # The same numbers, scaled: only float rounding differs.
    assert np.abs(matte.astype(int) - ten).max() <= 1
    rgb = soft_rgb(128, 96)
    limited, full = (
        engine.matte([from_rgb(rgb, color=ColorTags(matrix=1, full_range=wide))])[0]
        for wide in (False, True)
    )
    assert np.abs(limited.astype(int) - full).mean() < 2


def test_a_foreign_state_is_refused(weights):
    with pytest.raises(ValueError, match="no state"):
        SelfieEngine(weights).restore({"view0_r1": np.zeros(1, np.float32)})


@pytest.mark.parametrize("content", [b"", b"no network at all" * 9])
def test_other_files_are_refused(content):
    with pytest.raises(WeightsError, match="selfie weights"):
        SelfieEngine(content)
