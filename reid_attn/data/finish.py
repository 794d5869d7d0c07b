"""The end of the augmentation, for a whole batch at once: mirror, recolour, normalise, erase.

The same few operations run in a decoding worker or on the device that trains, without a loop over
pictures and without waiting for the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..settings import AugmentSettings, DataSettings
from .augment import Draws, channels, normalise
from .images import NORMALISATIONS
from .jitter import UNCHANGED, recolour


@dataclass(frozen=True)
class Finish:
    """What was drawn for N pictures, as far as it can wait until they are a batch."""

    mirrored: Tensor
    """(N,) bool."""
    erased: Tensor
    """(N, 4) int64: first row, end of the rows, first column, end of the columns."""
    tones: Tensor | None
    """(N, 3) float32: factors of brightness, contrast and saturation; `None`: all stay."""
    normalisation: str
    fill: tuple[float, ...]
    """Value of erased pixels in each channel, after the normalisation."""

    @classmethod
    def of(cls, draws: Sequence[Draws], data: DataSettings, augment: AugmentSettings) -> "Finish":
        """The draws of a batch's pictures."""
        mean, _ = NORMALISATIONS[data.normalisation]
        tones = [drawn.tones for drawn in draws]
        return cls(
            torch.tensor([drawn.mirrored for drawn in draws]),
            torch.tensor([drawn.erased for drawn in draws]),
            None if set(tones) == {UNCHANGED} else torch.tensor(tones),
            data.normalisation,
            mean if augment.erase_fill == "mean" else (0.0, 0.0, 0.0),
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N, 3, H, W) float32 on the same."""
        mirrored = self._mirror(pixels)
        if self.tones is not None:
            mirrored = recolour(mirrored, self.tones.to(pixels.device, non_blocking=True))
        return self._erase(normalise(mirrored, self.normalisation))

    def _mirror(self, pixels: Tensor) -> Tensor:
        numbers = torch.arange(len(pixels), device=pixels.device)
        mirrored = self.mirrored.to(pixels.device, non_blocking=True)
        both = torch.cat([pixels, pixels.flip(2)])  # whole pictures are picked faster than pixels
        return both.index_select(0, numbers + len(pixels) * mirrored)

    def _erase(self, images: Tensor) -> Tensor:
        device = images.device
        top, bottom, left, right = self.erased.to(device, non_blocking=True).T[..., None]  # (N, 1)
        rows = torch.arange(images.shape[2], device=device)
        columns = torch.arange(images.shape[3], device=device)
        erased_rows = (rows >= top) & (rows < bottom)  # (N, H)
        erased_columns = (columns >= left) & (columns < right)  # (N, W)
        erased = erased_rows[:, None, :, None] & erased_columns[:, None, None, :]  # (N, 1, H, W)
        return torch.where(erased, channels(self.fill, device), images)

    def pin_memory(self) -> "Finish":
        """The same in memory that a GPU reads directly."""
        return replace(
            self,
            mirrored=self.mirrored.pin_memory(),
            erased=self.erased.pin_memory(),
            tones=None if self.tones is None else self.tones.pin_memory(),
        )
