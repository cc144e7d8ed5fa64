from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_scenes import moved, texture
from vrmatte.geometry.pixel_rect import PixelRect
from vrmatte.stereo.evidence import EyeEvidence
from vrmatte.stereo.verdict import AgreedFrame, shares

SIZE = 160
WHOLE = PixelRect(0, 0, SIZE, SIZE)
ALL = np.ones((SIZE, SIZE), np.float32)
LIMB = np.s_[60:90, 100:124]
"""Beside a body."""
STRIP = np.s_[30:130, 100:102]


def body(*parts):
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[30:130, 50:100] = 1
    for part in parts:
        matte[part] = 1
    return matte


def codes(picture):
    return np.clip(picture, 0, 255).astype(np.uint8)


GREY = codes(texture(5, (SIZE, SIZE)))


def decided(alpha, warped, before=None, *, grey=GREY, seen=ALL, judged=ALL, window=WHOLE):
    evidence = EyeEvidence(alpha, warped, seen, np.zeros_like(alpha))
    return shares(evidence, grey, before, window, judged)


def inner(part, by=3):
    return tuple(slice(s.start + by, s.stop - by) for s in part)


@pytest.mark.parametrize("right", ["alpha", "warped"])
@pytest.mark.parametrize("fat_in", ["alpha", "warped"])
def test_who_still_says_what_was_agreed_is_right(right, fat_in):
    mattes = {"alpha": body(), "warped": body()}
    mattes[fat_in] = body(STRIP)
    share, disputed = decided(**mattes, before=AgreedFrame(GREY, mattes[right]))
    assert disputed[STRIP].all()
    expected = 1 if right == "warped" else 0
    assert np.abs(share[40:120, 100:102] - expected).max() < 0.1
    assert not disputed[40:120, 55:80].any()
    assert not share[40:120, 55:80].any()


@pytest.mark.parametrize("columns", [-4.0, 6.0])
def test_the_frame_before_is_moved_along(columns):
    """Everything walks; a thin rod would not lie over itself otherwise."""
    rod = np.s_[62:65, 100:124]
    alpha, warped = body(), body(rod)
    before = AgreedFrame(codes(moved(texture(5, (SIZE, SIZE)), -columns)), moved(warped, -columns))
    share, _ = decided(alpha, warped, before)
    assert share[inner(rod, 1)].min() > 0.9
    before = AgreedFrame(before.grey, moved(alpha, -columns))
    share, _ = decided(alpha, warped, before)
    assert share[inner(rod, 1)].max() < 0.1


def test_after_a_cut_the_frame_before_says_nothing():
    alpha, warped = body(), body(STRIP)
    other = codes(0.5 * texture(77, (SIZE, SIZE)))
    share, _ = decided(alpha, warped, AgreedFrame(other, alpha))
    trusted, _ = decided(alpha, warped, AgreedFrame(GREY, alpha))
    assert trusted[40:120, 100:102].max() < 0.1
    assert np.abs(share[40:120, 100:102] - 0.5).max() < 0.1


@pytest.mark.parametrize("before", [body(), body(LIMB)])
def test_a_limb_is_believed_whatever_was_before(before):
    """People step out from behind each other; the frame before knows nothing of that."""
    share, _ = decided(body(), body(LIMB), AgreedFrame(GREY, before))
    assert share[inner(LIMB)].min() > 0.98
    share, _ = decided(body(LIMB), body(), AgreedFrame(GREY, before))
    assert share[inner(LIMB)].max() < 0.02


def test_without_a_frame_before_a_limb_is_believed_in_either_eye():
    share, _ = decided(body(), body(LIMB))
    assert share[inner(LIMB)].min() > 0.98
    share, disputed = decided(body(LIMB), body())
    assert disputed[LIMB].all()
    assert share[inner(LIMB)].max() < 0.02


def test_of_a_strip_nobody_knows():
    for alpha, warped in ((body(), body(STRIP)), (body(STRIP), body())):
        share, disputed = decided(alpha, warped)
        assert disputed[STRIP].all()
        assert np.abs(share[40:120, 100:102] - 0.5).max() < 0.1


def test_each_place_has_its_own_verdict():
    below = np.s_[100:120, 20:50]
    alpha, warped = body(LIMB), body(below)
    share, _ = decided(alpha, warped, AgreedFrame(GREY, body(LIMB, below)))
    assert share[inner(LIMB)].max() < 0.02
    assert share[inner(below)].min() > 0.98


@pytest.mark.parametrize("what", ["seen", "judged"])
def test_nothing_is_decided_where_nobody_sees_or_asks(what):
    nowhere = ALL.copy()
    nowhere[:, 90:] = 0
    share, disputed = decided(body(), body(LIMB), AgreedFrame(GREY, body(LIMB)), **{what: nowhere})
    assert not share.any()
    assert not disputed.any()


def test_agreeing_eyes_have_no_dispute():
    faint = body() * np.float32(0.97)
    share, disputed = decided(body(), faint, AgreedFrame(GREY, faint))
    assert not share.any()
    assert not disputed.any()


def test_only_the_window_is_looked_at():
    window = PixelRect(20, 40, 140, 140)
    before = AgreedFrame(GREY, body(LIMB))
    share, disputed = decided(body(), body(LIMB), before, window=window)
    assert share[inner(LIMB)].min() > 0.98
    narrow = PixelRect(20, 40, 140, 90)
    share, disputed = decided(body(), body(LIMB), before, window=narrow)
    assert not share.any()
    assert not disputed.any()
