"""Small networks of the real classes with random weights, for tests that need no download.

Weights are drawn wider than for training, so that memory, prompts and pictures all show in the
masks; what a test proves equal would otherwise be equal by being nothing.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vrmatte.masks.sam2_models import MASK_MODELS
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.source import Prompt, PromptPoint

SIZE_PX = 128
PICTURE = (96, 144)
"""Height and width of test pictures: neither square nor the network's size."""
LEFT_BOX = (12.0, 20.0, 60.0, 80.0)
RIGHT_BOX = (80.0, 10.0, 130.0, 90.0)
NAMES = "sam2.1_hiera_tiny", "edgetam", "sam3_tracker"

_HIDDEN = 128


def tiny_model(name="sam2.1_hiera_tiny", seed=0):
    """A small network of the class that `name` has."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.set_num_threads(1)  # these networks are too small to gain from more
    torch.manual_seed(seed)
    with torch.random.fork_rng():
        model = {"sam2.1_hiera_tiny": _sam2, "edgetam": _edgetam, "sam3_tracker": _sam3}[name]()
    drawn = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for key, weights in model.named_parameters():
            if weights.dim() > 1 and "embed" not in key:
                weights.normal_(0, weights[0].numel() ** -0.5, generator=drawn)
            elif "norm" not in key:
                weights.normal_(0, 0.3, generator=drawn)
        # Somebody is seen in most pictures, and not in all.
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(1.0)
    return model.eval()


def tiny_network(name="sam2.1_hiera_tiny", half=False, seed=0):
    return Sam2Network(tiny_model(name, seed), MASK_MODELS[name], half=half)


def moving_pictures(frames, pictures=1, seed=0):
    """Frames of shape (pictures, 3, h, w): two soft discs that move over noise."""
    noise = np.random.default_rng(seed).random((pictures, 3, *PICTURE), dtype=np.float32)
    down, across = np.mgrid[: PICTURE[0], : PICTURE[1]].astype(np.float32)
    for at in range(frames):
        frame = 0.3 * noise
        for x, y, colour in ((36 + 2 * at % 30, 50, 0), (105 - at % 20, 50 + at % 7, 1)):
            disc = np.exp(-(((across - x) / 16) ** 2 + ((down - y) / 24) ** 2))
            frame[:, colour] += 0.7 * disc
        yield np.clip(frame, 0, 1)


def box_of(person, box=LEFT_BOX, picture=0):
    return Prompt(person, picture, box)


def point_of(person, x_px, y_px, is_person=True, picture=0):
    return Prompt(person, picture, None, (PromptPoint(x_px, y_px, is_person),))


def _parts(family):
    import transformers

    prompts = getattr(transformers, f"{family}PromptEncoderConfig")
    decoder = getattr(transformers, f"{family}MaskDecoderConfig")
    return {
        "prompt_encoder_config": prompts(hidden_size=_HIDDEN, image_size=SIZE_PX, patch_size=16),
        "mask_decoder_config": decoder(
            hidden_size=_HIDDEN, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
        "image_size": SIZE_PX,
        "memory_attention_hidden_size": _HIDDEN,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [SIZE_PX // 16] * 2,
        "memory_encoder_hidden_size": _HIDDEN,
        "mask_downsampler_embed_dim": _HIDDEN,
        "memory_fuser_embed_dim": _HIDDEN,
        "memory_fuser_intermediate_dim": 64,
    }


_FEATURE_SIZES = [[SIZE_PX // 4] * 2, [SIZE_PX // 8] * 2, [SIZE_PX // 16] * 2]


def _sam2():
    import transformers

    encoder = transformers.Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[SIZE_PX, SIZE_PX],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=encoder,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=_FEATURE_SIZES,
        fpn_hidden_size=_HIDDEN,
    )
    config = transformers.Sam2VideoConfig(
        vision_config=vision, memory_attention_feed_forward_hidden_size=64, **_parts("Sam2Video")
    )
    return transformers.Sam2VideoModel(config)


def _edgetam():
    """EdgeTAM without timm, which its picture encoder is from: plain convolutions stand in."""
    import torch
    import transformers

    channels = [16, 32, 48, 64]
    vision = transformers.EdgeTamVisionConfig(
        backbone_config=transformers.ResNetConfig(hidden_sizes=[8], depths=[1], embedding_size=8),
        backbone_channel_list=channels[::-1],
        backbone_feature_sizes=_FEATURE_SIZES,
        fpn_hidden_size=_HIDDEN,
    )
    config = transformers.EdgeTamVideoConfig(
        vision_config=vision,
        memory_attention_mlp_hidden_size=64,
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        **_parts("EdgeTamVideo"),
    )

    class Pyramid(torch.nn.Module):
        def __init__(self):
            super().__init__()
            ins = [3, *channels[:-1]]
            self.stages = torch.nn.ModuleList(
                torch.nn.Conv2d(i, o, 4 if at == 0 else 2, stride=4 if at == 0 else 2)
                for at, (i, o) in enumerate(zip(ins, channels, strict=True))
            )

        def forward(self, pictures, **_):
            levels = []
            for stage in self.stages:
                pictures = torch.relu(stage(pictures))
                levels.append(pictures)
            return SimpleNamespace(last_hidden_state=levels, hidden_states=None)

    model = transformers.EdgeTamVideoModel(config)
    model.vision_encoder.backbone = Pyramid()
    return model


def _sam3():
    import transformers

    encoder = transformers.Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIZE_PX,
        patch_size=16,
        pretrain_image_size=64,
        window_size=4,
        global_attn_indexes=[1],
    )
    vision = transformers.Sam3VisionConfig(
        backbone_config=encoder,
        fpn_hidden_size=_HIDDEN,
        backbone_feature_sizes=_FEATURE_SIZES,
    )
    config = transformers.Sam3TrackerVideoConfig(
        vision_config=vision,
        memory_attention_feed_forward_hidden_size=64,
        **_parts("Sam3TrackerVideo"),
    )
    return transformers.Sam3TrackerVideoModel(config)
