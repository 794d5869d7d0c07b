"""The attention blocks of the field, one file each, found by file name.

A block keeps the shape of its map, `(N, C, H, W) -> (N, C, H, W)`, or classifies it. A new one is
one new file with one public `Block` and a function `parameter_count`; nothing else is edited.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from ..errors import UsageError, nearest
from ._block import Block, Place

__all__ = ["Block", "Place"]


def names() -> list[str]:
    """Every block that `build` knows, sorted."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def block_class(name: str) -> type[Block]:
    """The one public `Block` of the file `name`; `UsageError` when there is no such block."""
    known = names()
    if name not in known:
        raise UsageError(
            f"there is no attention block '{name}'{nearest(name, known)}: "
            f"use one of {', '.join(known)}"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    classes = [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Block)
        and member.__module__ == module.__name__
        and not member.__name__.startswith("_")
    ]
    (found,) = classes
    return found


def build(name: str, channels: int, size: tuple[int, int], **options: Any) -> Block:
    """A block for maps of `channels` × `size` = (height, width).

    The defaults are the published mathematics. `size` reaches only the blocks that depend on it.

    Raises:
        UsageError: no such block, an option that it does not have, or a value that it refuses.
    """
    block = block_class(name)
    allowed = inspect.signature(block, eval_str=True).parameters
    own = sorted(set(allowed) - {"channels", "size"})
    for option, value in options.items():
        if option not in allowed:
            raise UsageError(
                f"the block '{name}' has no option '{option}'{nearest(option, own)}; "
                f"its options: {', '.join(own) or 'none'}"
            )
        _refuse_unknown(name, option, value, allowed[option].annotation)
    sized = {"size": tuple(size)} if "size" in allowed else {}
    return block(channels=channels, **sized, **options)


def _refuse_unknown(name: str, option: str, value: Any, annotation: Any) -> None:
    """`UsageError` when an option that is declared as a `Literal` has none of its values."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else (value,)
    if value not in choices:
        spelt = [str(choice) for choice in choices]
        raise UsageError(
            f"{option} of the block '{name}' is one of {', '.join(spelt)}, not {value!r}"
            f"{nearest(str(value), spelt)}"
        )


def parameter_count(name: str, channels: int, size: tuple[int, int], **options: Any) -> int:
    """Trainable parameters of `build(name, channels, size, **options)`, by the closed form."""
    module = importlib.import_module(block_class(name).__module__)
    count: Callable[..., int] = module.parameter_count
    known = inspect.signature(count).parameters
    return count(channels, size, **{key: value for key, value in options.items() if key in known})
