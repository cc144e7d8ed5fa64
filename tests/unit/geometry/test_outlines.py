from __future__ import annotations

import numpy as np
import pytest

from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.outlines import box_outline, viewport_outline
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.geometry.viewport import Viewport


def test_a_box_is_a_rectangle_on_a_half_equirectangular_eye():
    outline = box_outline(HalfEquirect(180), AngularBox(-20, 10, -40, 0))
    assert outline[0].tolist() == [70, 90], "begins at its upper left"
    assert outline.min(axis=0).tolist() == [70, 90]
    assert outline.max(axis=0).tolist() == [100, 130]


def test_a_box_curves_on_a_fisheye():
    outline = box_outline(Fisheye(180, 180), AngularBox(-60, 60, -40, -30))
    upper = outline[np.abs(outline[:, 0] - 90) < 2, 1].min()
    assert outline[0, 1] > upper + 5, "its ends bend away from the middle"


def test_a_viewport_within_the_eye_is_one_closed_line():
    (line,) = viewport_outline(HalfEquirect(180), Viewport(0, 0, 60, 60))
    assert line[0].tolist() == line[-1].tolist()
    assert line[:, 0].min() == pytest.approx(60, abs=1)
    assert line[:, 0].max() == pytest.approx(120, abs=1)


def test_what_leaves_the_eye_is_left_out():
    lines = viewport_outline(HalfEquirect(180), Viewport(85, 0, 60, 60))
    assert lines
    assert all(line.min() >= 0 and line.max() <= 180 for line in lines)
    assert max(int(np.abs(np.diff(line, axis=0)).max()) for line in lines) < 10, "no leaps"
    assert viewport_outline(HalfEquirect(180), Viewport(180, 0, 60, 60)) == []
