"""Gates that are put together lie in memory like the map that they multiply."""

from collections.abc import Callable

from torch import Tensor


def in_layout_of(
    x: Tensor, operation: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor
) -> Tensor:
    """operation(first, second), which broadcast to the shape (N, C, H, W) of x, as x lies.

    What broadcasts shows no layout of its own: (N, C, 1, 1) + (N, 1, H, W) comes out contiguous,
    and its product with a channels_last x is several times slower.
    """
    if x.is_contiguous():
        return operation(first, second)
    return operation(first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
