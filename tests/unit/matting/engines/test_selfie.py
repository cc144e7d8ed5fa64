import numpy as np
import pytest

from support.matting.matting_engines import halves, side_by_side
from support.matting.matting_pictures import clip_frames, crop, deeper, from_rgb, soft_rgb
from vrmatte.errors import WeightsError
from vrmatte.frames import EYES, ColorTags, half_of
from vrmatte.matting.engines.selfie import SelfieEngine
from vrmatte.matting.whole_eye_matting import WholeEyeMatting


@pytest.fixture
def weights(models_dir) -> bytes:
    return (models_dir / "selfie_segmentation.tflite").read_bytes()


@pytest.fixture
def frame(bench_dir):
    (frame,) = clip_frames(bench_dir, "d2_close", 1)
    return frame


def matte_of(weights, frame, scale=0.5):
    return WholeEyeMatting(SelfieEngine(weights), scale).matte(0, frame)


def test_a_person_is_found_in_both_eyes(weights, frame, bench_dir):
    (truth,) = clip_frames(bench_dir, "d2_close", 1, kind="alpha.mkv")
    whole = matte_of(weights, frame)
    for eye in EYES:
        matte, alpha = half_of(whole, eye), truth.eye(eye).y
        both = ((matte > 127) & (alpha > 127)).sum()
        assert matte.shape == alpha.shape
        assert both / ((matte > 127) | (alpha > 127)).sum() > 0.8


def test_nobody_is_nobody(weights):
    eye = from_rgb(np.full((200, 320, 3), 0.5))
    matte = matte_of(weights, side_by_side(eye, eye))
    assert matte.mean() < 13, "more than a twentieth of an empty picture is taken for a person"


def test_frames_do_not_depend_on_each_other(weights):
    engine = SelfieEngine(weights)
    pictures = np.stack([soft_rgb(96, 64, seed).transpose(2, 0, 1) for seed in (1, 2)])
    pictures = pictures.astype(np.float32)
    fresh = engine.infer("a", pictures)
    assert engine.state() == {}
    assert engine.settling_frames == 0
    assert engine.remembers("a")
    assert engine.remembers("never seen")
    engine.infer("a", pictures[:, :, :32])
    engine.restore({})
    engine.turn("a", np.eye(3))
    engine.forget("a")
    engine.reset()
    for view in ("a", "b"):
        again = engine.infer(view, pictures)
        assert np.array_equal(fresh.slope, again.slope)
        assert np.array_equal(fresh.offset, again.offset)
    (alone,) = engine.infer("a", pictures[1:]).offset
    assert np.array_equal(alone, fresh.offset[1])


def test_depth_and_range_do_not_matter(weights, frame):
    part = side_by_side(*[crop(halves(frame)[0], 256, 256, 512, 640)] * 2)
    # The same numbers, scaled: only float rounding differs.
    matte, ten = matte_of(weights, part), matte_of(weights, deeper(part))
    assert np.abs(matte.astype(int) - ten).max() <= 1
    rgb = soft_rgb(128, 96)
    eyes = [from_rgb(rgb, color=ColorTags(matrix=1, full_range=wide)) for wide in (False, True)]
    limited, full = (matte_of(weights, side_by_side(eye, eye)) for eye in eyes)
    assert np.abs(limited.astype(int) - full).mean() < 2


def test_a_foreign_state_is_refused(weights):
    with pytest.raises(ValueError, match="no state"):
        SelfieEngine(weights).restore({"view0_r1": np.zeros(1, np.float32)})


@pytest.mark.parametrize("content", [b"", b"no network at all" * 9])
def test_other_files_are_refused(content):
    with pytest.raises(WeightsError, match="selfie weights"):
        SelfieEngine(content)
