"""What engine `sam2` says of its devices, and what it gives up where memory runs out."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from vrmatte.commands import run as local
from vrmatte.errors import ConfigError
from vrmatte.jobs import memory
from vrmatte.jobs.fallbacks import FallbackPolicy, downgraded_before, memory_shortage
from vrmatte.masks.sam2_weights import MaskWeights
from vrmatte.matting.base import Downgrade, EngineChoice
from vrmatte.settings.config import Config

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


@pytest.fixture
def card(monkeypatch):
    """A GPU that PyTorch can use, with so much memory free."""
    torch = pytest.importorskip("torch")

    def card(free_gb):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: free_gb is not None)
        free = None if free_gb is None else int(free_gb * 1e9)
        monkeypatch.setattr(memory, "free_gpu_bytes", lambda: free)

    return card


def notices(plan):
    return list(local._network_notices(plan))


def test_a_device_pytorch_lacks_is_told_before_anything_is_made(card):
    card(None)
    (told,) = notices(plan(hardware={"device": "cuda"}))
    assert "sam2.1_hiera_tiny" in told
    assert "CPU instead" in told
    assert notices(plan(hardware={"device": "cpu"})) == notices(plan()) == []
    with pytest.raises(ConfigError, match="device cuda"):
        notices(plan(hardware={"device": "cuda", "require_device": True}))


def test_a_card_with_little_memory_is_told(card, tmp_path):
    card(1.0)
    (told,) = notices(plan())
    assert "1.0 GB of GPU memory are free, about 1.3 GB are needed" in told
    card(2.0)
    assert notices(plan()) == []
    assert "max_vram_gb=0.5" in notices(plan(hardware={"max_vram_gb": 0.5}))[0]
    heavy = plan()
    path = tmp_path / "model.safetensors"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(900_000_000)
    heavy.engine = engine(masks=replace(TINY, path=str(path)))
    assert "about 2.2 GB are needed" in notices(heavy)[0]
    heavy.config = Config.model_validate({"hardware": {"device": "cpu"}})
    assert notices(heavy) == []


def test_the_matting_network_of_masks_tells_its_device_too(card, monkeypatch):
    card(None)
    placed = SimpleNamespace(device="cuda", notices=("elsewhere",))
    monkeypatch.setattr(local, "resolve_device", lambda *_: placed)
    monkeypatch.setattr(memory, "free_gpu_bytes", lambda: 1)
    assert [told[:9] for told in notices(plan("rvm"))] == ["elsewhere", "only 0.0 "]
    assert notices(plan("guided")) == []
