"""Whether a state dict belongs to a network: the one check before anything is loaded."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from ..errors import DataError, MismatchError


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    origin: str,
    may_lack: Collection[str] = (),
) -> None:
    """Load `state` by name after checking names, shapes and values; half floats are widened.

    Raises:
        MismatchError: a name or shape differs. DataError: a value is not finite.
    """
    refuse_misfit(network.state_dict(), state, origin, may_lack)
    for key, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise DataError(f"{origin}: '{key}' holds non-finite values: take another file")
    network.load_state_dict(dict(state), strict=False)


def refuse_misfit(
    own: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    origin: str,
    may_lack: Collection[str] = (),
) -> None:
    """Raise `MismatchError` unless `found` has the names and shapes of `own`.

    `may_lack` names what `found` need not have. BatchNorm's counters are optional too, since files
    older than PyTorch 0.4.1 lack them.
    """
    problems = [f"'{key}' is unknown" for key in found.keys() - own.keys()]
    problems += [
        f"'{key}' is missing"
        for key in own.keys() - found.keys() - set(may_lack)
        if not key.endswith("num_batches_tracked")
    ]
    problems += [
        f"'{key}' has shape {tuple(found[key].shape)}, not {tuple(own[key].shape)}"
        for key in found.keys() & own.keys()
        if found[key].shape != own[key].shape
    ]
    if problems:
        listed = "; ".join(sorted(problems)[:3]) + ("; …" if len(problems) > 3 else "")
        raise MismatchError(f"{origin} does not fit the network: {listed} ({len(problems)} in all)")
