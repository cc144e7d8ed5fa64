"""One network of the SAM 2 family as transformers runs it: pictures in, masks and memory out.

The network itself remembers nothing. What it remembers of a stream of pictures lies in a session
of transformers, of which one network serves as many as there are views and eyes.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vrmatte.frames import FloatArray
from vrmatte.masks.sam2_models import MaskModel
from vrmatte.masks.source import Prompt

_BACKGROUND, _PERSON, _BOX_START, _BOX_END = 0, 1, 2, 3
"""What the network calls the points it is given."""
_TO_PIXEL_CENTRE = 0.5
"""The network counts pixels from their centres, prompts from the picture's border."""


class Sam2Network:
    """A network that stands where it shall run."""

    def __init__(self, model: Any, about: MaskModel, *, half: bool = False) -> None:
        """Take a network of transformers.

        Args:
            model: one of the video classes of the SAM 2 family.
            about: how its pictures are prepared.
            half: let its inside compute in bfloat16. In float16 it can't: its memory is bfloat16
                always, and PyTorch doesn't join the two.
        """
        self._model = model.eval().requires_grad_(False)
        self._half = half
        self.device: Any = next(model.parameters()).device
        size = model.config.image_size
        self.size_px = int(size if isinstance(size, int) else size[0])
        """Side of the square that every picture is stretched to."""
        self.memories = int(model.config.num_maskmem)
        """From how many pictures masks are remembered, a prompted one counted as one."""
        self.pointers = int(model.config.max_object_pointers_in_encoder)
        """From how many pictures it is remembered what somebody looked like, this one counted."""
        self._mean = self._tensor(about.mean)
        self._spread = self._tensor(about.spread)

    def _tensor(self, colours: Sequence[float]) -> Any:
        import torch  # pyright: ignore[reportMissingImports]

        return torch.tensor(colours, dtype=torch.float32, device=self.device).view(1, 3, 1, 1)

    def new_session(self) -> Any:
        """An empty session of transformers whose memory lies where the network runs."""
        import torch  # pyright: ignore[reportMissingImports]
        import transformers  # pyright: ignore[reportMissingImports]

        name = type(self._model).__name__.removesuffix("Model") + "InferenceSession"
        home = importlib.import_module(type(self._model).__module__)
        kind = getattr(transformers, name, None) or getattr(home, name)
        return kind(
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=torch.float32,
        )

    def point(self, session: Any, frame: int, prompt: Prompt, size: tuple[int, int]) -> None:
        """Write a prompt into a session, for the forward step of the same frame.

        Args:
            session: from `new_session`.
            frame: index of the picture.
            prompt: with a box or points.
            size: height and width of the picture that the prompt speaks of.
        """
        import torch  # pyright: ignore[reportMissingImports]

        places: list[tuple[float, float]] = []
        kinds: list[int] = []
        if prompt.box_px is not None:
            left, top, right, bottom = prompt.box_px
            places += [(left, top), (right, bottom)]
            kinds += [_BOX_START, _BOX_END]
        for point in prompt.points:
            places.append((point.x_px, point.y_px))
            kinds.append(_PERSON if point.is_person else _BACKGROUND)
        scale = torch.tensor([self.size_px / size[1], self.size_px / size[0]])
        coordinates = torch.tensor(places, dtype=torch.float32) * scale - _TO_PIXEL_CENTRE
        session.add_point_inputs(
            session.obj_id_to_idx(prompt.person),
            frame,
            {
                "point_coords": coordinates[None, None],
                "point_labels": torch.tensor(kinds, dtype=torch.int32)[None, None],
            },
        )

    def forward(self, session: Any, frame: int, picture: FloatArray) -> dict[int, FloatArray]:
        """Look at the next picture of a session.

        Args:
            session: has at least one person.
            frame: index of the picture, one more than that of the last.
            picture: shape (3, h, w), RGB 0..1.

        Returns:
            By person, how surely a pixel shows them, shape (h, w).
        """
        import torch  # pyright: ignore[reportMissingImports]

        half = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._half)
        with torch.inference_mode(), half:
            # Without the index the library would take the picture for the first one again.
            found = self._model(
                inference_session=session, frame=self._pixels(picture), frame_idx=frame
            )
            masks = torch.nn.functional.interpolate(
                found.pred_masks.float(), size=picture.shape[1:], mode="bilinear"
            )
            sure = torch.sigmoid(masks)[:, 0].cpu().numpy()
        return dict(zip(found.object_ids, sure, strict=True))

    def _pixels(self, picture: FloatArray) -> Any:
        import torch  # pyright: ignore[reportMissingImports]

        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)[None]
        size = self.size_px, self.size_px
        if pixels.shape[2:] != size:
            pixels = torch.nn.functional.interpolate(
                pixels, size=size, mode="bilinear", antialias=True
            )
        return (pixels - self._mean) / self._spread
