"""Networks of timm and torchreid as backbones: built by the library, cut off at the last map.

Nothing is downloaded. What the library's network does after the map is left out, except for
torchreid's layer between pooling and classifier (OSNet's `fc`), without which its features would be
others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UsageError
from ..settings import ModelSettings
from . import zoo_timm, zoo_torchreid
from .places import BlockPlacer

SLOTS = ("head", "classifier")
FINE = 16
"""Pixels that a cell of the map may be wide with last stride 1."""

_LIBRARIES = {"timm": zoo_timm, "torchreid": zoo_torchreid}
_REFUSALS = (RuntimeError, TypeError, AssertionError, ValueError, NotImplementedError)


class Trial(NamedTuple):
    """What a run without values tells about a network's map."""

    channels: int
    size: tuple[int, int]
    used: frozenset[str]
    """Names of the parameters that the map depends on."""


class ZooBackbone(nn.Module):
    """(N, 3, H, W) -> (N, C, h, w), with C = `channels` and (h, w) = `map_size`.

    Parameters that the map does not depend on, such as those of a head, stand still.
    """

    stem = "resnet"
    prefix = "body."

    def __init__(
        self,
        body: nn.Module,
        last_map: Callable[[nn.Module, Tensor], Tensor],
        trial: Trial,
        place: BlockPlacer,
    ) -> None:
        super().__init__()
        self.body, self.last_map = body, last_map
        self.channels, self.map_size = trial.channels, trial.size
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(name in trial.used)
        self.head_attention = place("head", 4, self.channels, self.map_size) or nn.Identity()

    def own_keys(self) -> set[str]:
        """Keys of the state dict that are the library's, not a block's."""
        return {key for key in self.state_dict() if key.startswith(self.prefix)}

    def replaced(self) -> tuple[str, ...]:
        """No block stands for a part of the body."""
        return ()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, h, w)."""
        out: Tensor = self.head_attention(self.last_map(self.body, x))
        return out


def build(
    settings: ModelSettings, size: tuple[int, int], place: BlockPlacer
) -> tuple[ZooBackbone, nn.Module, int]:
    """The backbone, what follows the pooling, and the width of the feature.

    Raises:
        MissingExtra: timm or torchreid is not installed.
        UsageError: no such network, an option that it does not have, or a size it cannot take.
    """
    backbone = settings.backbone
    place.refuse_beyond(SLOTS, backbone)
    for option in ("width", "stride_in_1x1", "stem"):
        if getattr(settings, option) != type(settings).model_fields[option].default:
            raise UsageError(
                f"model.{option} is for our own ResNet-50: leave it out for {backbone}"
            )
    name, _, network = backbone.partition("/")
    library = _LIBRARIES[name]

    def make(**options: Any) -> nn.Module:
        made: nn.Module = library.make(network, size, **options)
        return made

    def attempt(**options: Any) -> Trial:
        return _attempt(lambda: make(**options), library.last_map, size)

    try:
        options, trial = {}, attempt()
    except _REFUSALS as error:
        raise UsageError(
            f"{backbone} cannot take pictures of {size[0]}×{size[1]}: {_told(error)}"
        ) from error
    if settings.last_stride == 1 and size[0] > FINE * trial.size[0]:
        try:
            options = {"output_stride": FINE}
            trial = attempt(**options)
        except _REFUSALS as error:
            raise UsageError(
                f"the last map of {backbone} is {trial.size[0]}×{trial.size[1]} and cannot be made "
                "finer: set model.last_stride=2 to take it as it is"
            ) from error
    body = make(**options)
    if settings.checkpoint_activations:
        _recompute(body, backbone)
    embedding, width = library.embedding(body)
    return ZooBackbone(body, library.last_map, trial, place), embedding, width or trial.channels


def _attempt(
    make: Callable[[], nn.Module],
    last_map: Callable[[nn.Module, Tensor], Tensor],
    size: tuple[int, int],
) -> Trial:
    with torch.device("meta"), torch.enable_grad():
        body = make().eval()
        x = last_map(body, torch.empty(1, 3, *size))
        names, parameters = zip(*body.named_parameters(), strict=True)
        gradients = torch.autograd.grad(x.sum(), parameters, allow_unused=True)
    if x.ndim != 4:
        raise ValueError(f"it ends in shape {tuple(x.shape)}, which is no map")
    used = (name for name, found in zip(names, gradients, strict=True) if found is not None)
    return Trial(x.shape[1], (x.shape[2], x.shape[3]), frozenset(used))


def _recompute(body: nn.Module, backbone: str) -> None:
    """Let the library do it, where its second forward pass leaves no trace."""
    traced = any(isinstance(module, _BatchNorm) for module in body.modules())
    if traced or not hasattr(body, "set_grad_checkpointing"):
        raise UsageError(
            "model.checkpoint_activations is for our own ResNet-50, and for networks of timm "
            f"without batch norm: switch it off for {backbone}"
        )
    body.set_grad_checkpointing()  # type: ignore[operator]


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
