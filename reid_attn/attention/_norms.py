"""What a batch norm in training cannot do, refused before it changes anything."""

from torch import nn

from ..errors import MismatchError


def refuse_lone_value(block: str, norm: nn.Module, values: int) -> None:
    """`MismatchError` when `norm` is in training and has `values` < 2 numbers a channel."""
    if norm.training and values < 2:
        raise MismatchError(
            f"{block} has one value a channel for a norm that is in training, and so no variance: "
            "train with at least two pictures a batch, or with larger maps"
        )
