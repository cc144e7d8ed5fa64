from __future__ import annotations

import numpy as np

from support.matting.matting_pictures import from_rgb
from vrmatte.frames import Eye
from vrmatte.geometry.viewport import Viewport
from vrmatte.sheets.people_sheet import BoxMark, SheetFrame, people_sheet

GREY = from_rgb(np.full((256, 512, 3), 0.4))


def drawn(boxes=None, viewports=()):
    """Where something is drawn on each eye of a single frame."""
    sheet = people_sheet([SheetFrame("frame 0", GREY, boxes or {}, viewports)], eye_px=180)
    assert sheet.shape == (24 + 180, 360, 3)
    changed = np.abs(sheet[24:].astype(int) - 102).max(axis=2) > 20
    return changed[:, :180], changed[:, 180:]


def test_boxes_are_drawn_where_they_are():
    left, right = drawn({Eye.LEFT: [BoxMark(1, (-20, 10), (-40, 0))]})
    rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
    # Lines are two or three pixels wide.
    assert abs(rows[0] - 90) <= 2
    assert abs(rows[-1] - 130) <= 2
    assert abs(columns[0] - 70) <= 2
    assert abs(columns[-1] - 100) <= 2
    assert not right.any()


def test_viewports_are_drawn_in_both_eyes():
    left, right = drawn(viewports=[(1, Viewport(0, -30, 60, 60))])
    assert np.array_equal(left, right)
    assert left.any()
    # A view looking down spans more degrees of longitude below.
    rows = np.flatnonzero(left.any(axis=1))
    upper, lower = (left[int(np.quantile(rows, share))] for share in (0.2, 0.8))
    assert np.ptp(np.flatnonzero(lower)) > np.ptp(np.flatnonzero(upper)) + 10


def test_what_leaves_the_hemisphere_is_left_out():
    left, _ = drawn(viewports=[(1, Viewport(85, 0, 60, 60))])
    assert left[:, 100:].any()
    assert not left[:, :100].any()


def test_frames_follow_each_other():
    frame = SheetFrame("a", GREY, {})
    assert people_sheet([frame, frame, frame], eye_px=90).shape == (3 * (24 + 90), 180, 3)
