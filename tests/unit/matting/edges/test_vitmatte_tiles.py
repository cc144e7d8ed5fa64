from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vrmatte.errors import WeightsError
from vrmatte.matting.edges.trimap import trimap_of
from vrmatte.matting.edges.vitmatte_tiles import EdgeTiles, _tile_starts
from vrmatte.settings.config import HardwareConfig


class Exact:
    """An edge network that knows: brightness is alpha."""

    name, provider = "exact", "tests"

    def __init__(self):
        self.seen = []

    def __call__(self, pictures, trimaps):
        assert set(np.unique(trimaps)) <= {0, 0.5, 1}
        self.seen.append(trimaps.shape)
        return pictures.mean(axis=1)


def disc(height=200, width=300):
    y, x = np.mgrid[:height, :width] + 0.5
    alpha = np.clip(60.5 - np.hypot(x - 110, y - 100), 0, 1).astype(np.float32)
    return np.stack([alpha] * 3), (alpha > 0.5).astype(np.float32)


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(64, 64, 16), (65, 64, 16), (300, 64, 16), (1000, 256, 64)]
)
def test_tiles_cover_everything(length, tile, overlap):
    starts = _tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + tile >= length
    assert all(b - a <= tile - overlap for a, b in pairwise(starts))


def test_only_tiles_with_an_edge_are_run():
    network = Exact()
    picture, mask = disc()
    alpha = EdgeTiles(network, 64, 16).alpha(picture, trimap_of(mask))
    assert np.abs(alpha - picture[0]).max() < 1e-6
    assert 0 < len(network.seen) < len(_tile_starts(200, 64, 16)) * len(_tile_starts(300, 64, 16))
    inside_out = EdgeTiles(network, 64, 16)
    network.seen.clear()
    assert not inside_out.alpha(picture, trimap_of(np.zeros_like(mask))).any()
    assert network.seen == []


def test_coefficients_give_that_matte():
    picture, mask = disc()
    pictures = np.stack([picture, picture])
    found = EdgeTiles(Exact(), 64, 16).refine("v", pictures, [trimap_of(mask)] * 2, None)
    alpha = found.slope * pictures.mean(axis=1) + found.offset
    assert np.abs(alpha - pictures[:, 0]).max() < 0.02
    nothing = EdgeTiles(Exact()).refine("v", pictures, None, None)
    assert not nothing.slope.any()
    assert not nothing.offset.any()


def test_a_small_vitmatte_of_random_weights_runs_on_any_size():
    torch = pytest.importorskip("torch", reason="needs the extra sam2")
    transformers = pytest.importorskip("transformers", reason="needs the extra sam2")
    from vrmatte.masks.vitmatte import VitMatte

    torch.manual_seed(0)
    backbone = transformers.VitDetConfig(
        num_channels=4,
        image_size=64,
        pretrain_image_size=64,
        patch_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        out_features=["stage2"],
    )
    config = transformers.VitMatteConfig(
        backbone_config=backbone,
        hidden_size=32,
        convstream_hidden_sizes=[8, 8, 8],
        fusion_hidden_sizes=[8, 8, 8, 8],
    )
    network = VitMatte(transformers.VitMatteForImageMatting(config))
    picture, mask = disc(90, 130)
    trimap = trimap_of(mask)
    alpha = EdgeTiles(network, 64, 16).alpha(picture, trimap)
    assert alpha.shape == (90, 130)
    assert (alpha[trimap.inside] == 1).all()
    assert (alpha[trimap.outside] == 0).all()
    assert 0 < alpha[trimap.band].mean() < 1
    other = network(picture[None, :, :64, :64], np.full((1, 64, 64), 0.5, np.float32))
    assert other.shape == (1, 64, 64)
    surer = network(picture[None, :, :64, :64], np.ones((1, 64, 64), np.float32))
    assert not np.array_equal(other, surer), "the trimap is heeded"


def test_other_weights_are_refused():
    pytest.importorskip("torch", reason="needs the extra sam2")
    pytest.importorskip("transformers", reason="needs the extra sam2")
    from vrmatte.masks.vitmatte import open_vitmatte

    with pytest.raises(WeightsError, match="can't be opened as ViTMatte"):
        open_vitmatte(b"12345678", HardwareConfig(device="cpu"))
