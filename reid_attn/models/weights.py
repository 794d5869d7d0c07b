"""The only reader of weights: our own checkpoints, and files made elsewhere.

A foreign file is a pickle, so a child process opens it with `weights_only=True` and hands back
plain tensors as safetensors; names, shapes and finiteness are checked before anything is loaded.
There is no fallback to an unsafe reader.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from .. import storage
from ..errors import DamagedError, DataError, MismatchError, ReidError, UsageError, nearest
from ..settings import Settings, resolve
from .adoption import Report, adopt
from .fit import load_weights
from .network import Network, build_network
from .published import PUBLISHED, published

WEIGHTS = "weights.safetensors"
STATE = "state.json"
BEST = "BEST"
IMPORTED = "imported"
"""In the state of a run whose weights were made elsewhere: the file they came from."""

_READER_SECONDS = 300
_STATE_DICT, _NESTED = "state_dict", "nested"  # what the child takes from a file
_DEPTH = 3  # dictionaries in one another; a pickle may also hold one that contains itself


class Trained(NamedTuple):
    """A network of a run, ready to use."""

    network: Network
    """In evaluation mode, on the CPU, float32."""
    settings: Settings
    state: dict[str, Any]
    """What the checkpoint says about itself: epoch, step, versions, …"""


def load_trained(run: Path, checkpoint: str = "last") -> Trained:
    """The network of a run folder.

    Args:
        run: the folder that training wrote.
        checkpoint: `last`; `best` (highest mAP of the evaluations during training, so chosen on
            the very pictures it is evaluated on); a `gen-…` folder; or a file of weights.

    Raises:
        DataError: no such run or file. DamagedError: a checksum is wrong.
        MismatchError: the weights do not fit the network of the run.
    """
    _need_checkpoint(run)
    folder, generation = _find_generation(run, checkpoint)
    files = storage.read_generation(folder, generation)
    state, settings = _state(files, folder)
    network = build_network(settings, state["identities"])
    network.load_state_dict(from_bytes(files[WEIGHTS], str(folder)))
    if Path(checkpoint).is_file():
        load_weights(network, read_state_dict(Path(checkpoint)), checkpoint)
    return Trained(network.eval(), settings, state)


def load_settings(run: Path) -> Settings:
    """The settings of a run that training can go on from.

    Raises:
        DataError: no such run. UsageError: its weights were made elsewhere.
    """
    _need_checkpoint(run)
    files = storage.read_generation(run, storage.current_generation(run))
    state, settings = _state(files, run)
    if IMPORTED in state:
        raise UsageError(
            f"{run} holds weights made elsewhere and no state of a training: train a new run with "
            f"model.weights={state[IMPORTED]}"
        )
    return settings


def initialise(network: Network, weights: str, stride_in_1x1: bool) -> Report | None:
    """Put pretrained weights into the backbone; None for `none`.

    `weights` is `none`, a torchvision name, or the path of a file with the names of any code base
    of `renaming.py`. Of a whole re-ID network the backbone is taken.

    Raises:
        MismatchError, DataError: see `adopt` and `read_state_dict`. UsageError: no such file.
    """
    if weights == "none":
        return None
    if weights in PUBLISHED and stride_in_1x1:
        raise MismatchError(
            f"{weights} has its stride in the 3×3: set model.stride_in_1x1=false, since the other "
            "layout would load silently and be much worse"
        )
    path = published(weights) if weights in PUBLISHED else Path(weights)
    if not path.is_file():
        hint = nearest(weights, [*PUBLISHED, "none"])
        raise UsageError(
            f"model.weights: there is no file '{weights}'{hint}; none begins with random weights"
        )
    return adopt(network, read_state_dict(path), str(path), whole=False)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a PyTorch file through the guarded child.

    A dictionary with a `state_dict` inside (torchreid, fast-reid, Lightning) is unwrapped, and the
    `module.` that DataParallel puts before every name is dropped.

    Raises:
        DataError: the file is missing, not a state dict, or refused by the safe reader.
    """
    advice = "only plain tensors are read; save the network's state_dict() and use that file"
    plain = path.suffix == ".safetensors"
    data = storage.read_bytes(path) if plain else _guarded(path, _STATE_DICT, advice)
    found = from_bytes(data, str(path))
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def read_nested(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file with dictionaries in dictionaries, through the guarded child.

    `{"query": {"features": …}}` gives `query.features`. Types are kept; a list of integers becomes
    an int64 tensor; entries that are neither tensors nor lists of numbers are left out.

    Raises:
        DataError: the file is missing, holds no tensors, or is refused by the safe reader.
    """
    advice = "only dictionaries of tensors and of lists of integers are read; save such a file"
    return from_bytes(_guarded(path, _NESTED, advice), str(path))


def to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors, contiguous and on the CPU."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    return safetensors.torch.save(plain)


def from_bytes(data: bytes, origin: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file; `DamagedError` when it is not one."""
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"{origin} is not a sound safetensors file ({error})") from error


def _need_checkpoint(run: Path) -> None:
    if not (run / storage.POINTER).exists():
        raise DataError(f"{run} holds no finished checkpoint: is it a folder that training wrote?")


def _state(files: Mapping[str, bytes], origin: Path) -> tuple[dict[str, Any], Settings]:
    state: dict[str, Any] = json.loads(files[STATE])
    return state, resolve(state["settings"], str(origin / STATE))


def _find_generation(run: Path, checkpoint: str) -> tuple[Path, int]:
    if checkpoint == "best":
        if not (run / BEST).exists():
            raise DataError(f"{run} has no best checkpoint: nothing was evaluated during training")
        return run, storage.current_generation(run, BEST)
    folder = Path(checkpoint)
    number = folder.name.removeprefix("gen-")
    if folder.is_dir() and folder.name.startswith("gen-") and number.isdecimal():
        return folder.parent, int(number)
    if checkpoint != "last" and not folder.is_file():
        raise UsageError(
            f"'{checkpoint}' is no checkpoint: use last, best, a gen-… folder or a file of weights"
        )
    return run, storage.current_generation(run)


def _guarded(path: Path, kind: str, advice: str) -> bytes:
    """What the child process makes of a pickle, as safetensors; `advice` ends its refusal."""
    command = [sys.executable, "-c", f"from {__name__} import _child; _child()", str(path), kind]
    try:
        child = subprocess.run(command, capture_output=True, timeout=_READER_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{path} could not be read in {_READER_SECONDS} seconds") from error
    if child.returncode != 0:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(
            f"{path} was refused by the safe reader ({lines[-1] if lines else 'it crashed'}): "
            f"{advice}"
        )
    return child.stdout


def _child() -> None:
    """In the child process: a pickle's path and a kind as arguments, safetensors on the output."""
    path, kind = sys.argv[1:]
    with torch.serialization.safe_globals(_numpy_scalars()):
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    tensors = dict(_nested(loaded)) if kind == _NESTED else _state_dict(loaded)
    if not tensors:
        raise ReidError("it holds no tensors")
    sys.stdout.buffer.write(to_bytes(tensors))


def _state_dict(loaded: Any) -> dict[str, Tensor]:
    for name in ("state_dict", "model", "network"):
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    return {
        str(key): _apart(value.float() if value.is_floating_point() else value)
        for key, value in loaded.items()
        if isinstance(value, Tensor)
    }


def _nested(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            yield from _nested(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, Tensor) and name:
        yield name, _apart(value)
    elif isinstance(value, list | tuple) and name and all(map(_is_number, value)):
        yield name, torch.tensor(value)


def _apart(tensor: Tensor) -> Tensor:
    """In memory of its own: safetensors refuses what is shared, such as tied weights."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _numpy_scalars() -> list[Any]:
    """What a pickled numpy number needs: torchreid stores its best rank-1 as one.

    The function that restores it has one address in the files of numpy 1 and another since.
    """
    restore = np.float32(0).__reduce__()[0]
    addresses = [(restore, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(name)) for name in ("float32", "float64", "int64")]
    return [*addresses, np.dtype, *kinds]
