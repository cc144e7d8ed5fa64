"""What engine `sam2` says of its devices, and what it gives up where memory runs out."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from vrmatte.commands import run
from vrmatte.errors import ConfigError
from vrmatte.jobs.fallbacks import FallbackPolicy, downgraded_before, memory_shortage
from vrmatte.jobs.memory import gpu_memory_notices
from vrmatte.masks.sam2_loading import torch_on_gpu
from vrmatte.masks.sam2_weights import MaskWeights
from vrmatte.matting.base import Downgrade, EngineChoice
from vrmatte.models.devices import resolve_device
from vrmatte.settings.config import Config, HardwareConfig

TINY = MaskWeights("sam2.1_hiera_tiny", "gone.safetensors", "1" * 64, "Apache-2.0", True)
LARGE = replace(TINY, model="sam2.1_hiera_large", sha256="2" * 64)


def engine(refiner="guided", masks=TINY, **more):
    return EngineChoice(
        "sam2", "w", "", "3" * 64, "Apache-2.0", True, masks=masks, refiner=refiner, **more
    )


def plan(refiner="guided", views=2, **settings):
    sized = SimpleNamespace(width=400, height=300)
    config = Config.model_validate(settings)
    return SimpleNamespace(engine=engine(refiner), config=config, viewports=(sized,) * views)


class Watch:
    """Has two ways to do less at a time."""

    def __init__(self):
        self.told = iter(("one", "two"))

    def use_less(self):
        return next(self.told, None)


def ladder(plan, shortage, infers=True):
    """All that is given up, one after the other, and the settings that are left."""
    fallback_policy, steps = FallbackPolicy(Watch()), []
    while (step := fallback_policy.step(plan, 3, shortage, infers=infers)) is not None and len(
        steps
    ) < 9:
        steps.append(step[1])
    return steps, fallback_policy.fallbacks.config(plan.config, SimpleNamespace(overlap=True))


BOTH = {"processing": {"parallel_eyes": True}, "matting": {"memory_offload": False}}
EYES, IDLE = "one after the other", "memory of one view at a time"


def test_a_short_gpu_first_holds_one_view_and_then_hands_over():
    steps, config = ladder(plan(**BOTH), "device")
    assert [IDLE in steps[0], "on the CPU" in steps[1], len(steps)] == [True, True, 2]
    assert config.matting.memory_offload
    assert config.hardware.device == "cpu"
    assert config.processing.parallel_eyes, "it matters to no network here"


def test_only_a_matting_network_takes_both_eyes_at_once():
    steps, config = ladder(plan("rvm", **BOTH), "device")
    assert EYES in steps[0]
    assert IDLE in steps[1]
    assert not config.processing.parallel_eyes


@pytest.mark.parametrize("settled", [{"views": 1, **BOTH}, {}])
def test_nothing_waits_on_the_gpu_that_could_be_moved(settled):
    steps, _ = ladder(plan(**settled), "device")
    assert ["on the CPU" in step for step in steps] == [True]


def test_short_ordinary_memory_moves_nothing_into_it():
    assert ladder(plan(**BOTH), "host")[0] == ["one", "two"]


@pytest.mark.parametrize(
    ("said", "shortage"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of", "device"),
        (
            "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory",
            "host",
        ),
        ("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes", "host"),
        ("The size of tensor a (4) must match the size of tensor b (5)", None),
    ],
)
def test_shortages_as_pytorch_tells_them(said, shortage):
    assert memory_shortage(RuntimeError(said)) == shortage


@pytest.mark.parametrize(
    ("now", "kept"),
    [(engine(), True), (engine(masks=LARGE), False), (engine("vitmatte"), False)],
)
def test_easings_of_other_networks_are_dropped(now, kept):
    config = Config.model_validate({"processing": {"allow_smaller_scale": True}})
    before = engine(downgraded=(Downgrade(2, 0.7, "fp32"),))
    facts = {"engine": asdict(before), "config": config.model_dump(mode="json")}
    again = downgraded_before(now, SimpleNamespace(fact=facts.get), config)
    assert again.downgraded == (before.downgraded if kept else ())


def cuda(is_available):
    """The functions of `torch.cuda` on a machine with or without a GPU."""
    return SimpleNamespace(is_available=lambda: is_available)


def test_a_device_pytorch_lacks_is_reported():
    on_gpu, notice = torch_on_gpu(TINY.model, HardwareConfig(device="cuda"), cuda(False))
    assert not on_gpu
    assert "sam2.1_hiera_tiny" in notice
    assert "CPU instead" in notice
    for device in ("cpu", "auto"):
        assert torch_on_gpu(TINY.model, HardwareConfig(device=device), cuda(False)) == (False, None)
    with pytest.raises(ConfigError, match="device cuda"):
        torch_on_gpu(TINY.model, HardwareConfig(device="cuda", require_device=True), cuda(False))


def test_the_devices_of_both_networks_are_reported_before_the_run():
    """On a machine without TensorRT, which no test machine has."""
    hardware = {"device": "tensorrt"}
    if resolve_device("tensorrt").device != "cpu":
        pytest.skip("TensorRT works here")
    pytest.importorskip("torch")
    matting, masks = list(run._network_notices(plan("rvm", hardware=hardware)))
    assert matting.startswith("device tensorrt: ")
    assert "PyTorch, which runs sam2.1_hiera_tiny" in masks
    assert list(run._network_notices(plan("guided", hardware=hardware))) == [masks]


def test_a_card_with_little_memory_is_reported(tmp_path):
    def notices(of, free_gb, **uses):
        uses = {"mattes": False, "masks": True, **uses}
        return list(gpu_memory_notices(of, **uses, free_bytes=lambda: int(free_gb * 1e9)))

    (notice,) = notices(plan(), 1.0)
    assert "1.0 GB of GPU memory are free, about 1.3 GB are needed" in notice
    assert notices(plan(), 2.0) == []
    assert "max_vram_gb=0.5" in notices(plan(hardware={"max_vram_gb": 0.5}), 2.0)[0]
    heavy = plan()
    path = tmp_path / "model.safetensors"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(900_000_000)
    heavy.engine = engine(masks=replace(TINY, path=str(path)))
    assert "about 2.2 GB are needed" in notices(heavy, 2.0)[0]
    assert notices(heavy, 2.0, masks=False) == []
