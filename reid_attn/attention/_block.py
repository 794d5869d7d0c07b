"""What every attention block declares, so that nothing about it has to be written elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ..settings import Slot
from ._published import Sources, convert, renamed


@dataclass(frozen=True)
class Place:
    """Where a paper puts its block in a ResNet-50."""

    slot: Slot
    stages: tuple[int, ...] = (1, 2, 3, 4)
    """The layers of the ResNet that get one."""
    blocks: Literal["all", "last"] | int = "all"
    """In every bottleneck of a stage, in its last one only, or in its last n."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the block that this place needs."""

    def reaches(self, from_end: int) -> bool:
        """Whether the bottleneck gets one; the last of its stage is 1, the one before it 2."""
        return self.blocks == "all" or from_end <= (1 if self.blocks == "last" else self.blocks)


class Block(nn.Module):
    """An attention block: `channels`, maybe `size`, and its own options make one.

    A subclass may offer what can be drawn:

        gate(x) -> Tensor                  what the map is multiplied by, of a shape that
                                           broadcasts to x (N, C, H, W)
        affinity(x, row, column) -> Tensor (N, H, W): how much that position takes from each other

    Its file also holds `parameter_count(channels, size, **options) -> int`, the closed form of the
    number of trainable parameters; it names the options that the number depends on.
    """

    kind: ClassVar[Literal["map", "classifier"]] = "map"
    """`map`: (N, C, H, W) -> the same shape; `classifier`: -> (N, identities)."""
    slots: ClassVar[tuple[Slot, ...]] = (
        "stage",
        "residual",
        "conv2",
        "bn2",
        "block",
        "head",
    )
    """Every slot that it fits."""
    published: ClassVar[tuple[Place, ...]]
    """Where its paper puts it."""
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """Sets of options, each option in at least one: what the contract test builds."""
    starts_as_identity: ClassVar[bool] = False
    """Whether the block at its start returns its input."""
    without_gradient: ClassVar[tuple[str, ...]] = ()
    """Parameters whose gradient is 0 by the mathematics: a bias before a norm that subtracts the
    mean, a term that a softmax cancels. Each may have the gradient 0, none may lack one."""

    def sources(self) -> Sources:
        """Our key -> the keys of the published implementation that make it up."""
        return renamed(self.state_dict(), self.official_modules())

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """Our module -> the published one, or several that are stacked; here: the same names."""
        return {key.rpartition(".")[0]: key.rpartition(".")[0] for key in self.state_dict()}

    def convert_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published module's state dict under our names and shapes.

        Raises:
            MismatchError: a tensor is missing, unknown, or of another shape.
        """
        return convert(self.state_dict(), state, self.sources())
