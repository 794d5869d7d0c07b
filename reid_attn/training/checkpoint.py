"""Checkpoints: one generation of three files, from which training goes on bit for bit.

`weights.safetensors` holds the network, `state.safetensors` the optimizer's tensors and the random
state, `state.json` the position, the settings and the versions. The sampler and the augmentation
are functions of (seed, epoch, index) and the learning rate of the epoch, so they need no state.
"""

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__, storage
from ..errors import DamagedError
from ..models import Network
from ..models.weights import BEST, STATE, WEIGHTS, from_bytes, to_bytes
from ..settings import Settings

OPTIMIZER = "state.safetensors"
KEPT = 2


@dataclass
class Position:
    """Where a training stands, and what it has summed up in the epoch so far."""

    epoch: int = 0
    step: int = 0
    """Finished steps of this epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    log_rows: int = 0
    best_mAP: float = -1.0
    seconds: float = 0.0


def save(
    run: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    position: Position,
    settings: Settings,
    identities: int,
    best: bool,
) -> None:
    """Write the next generation of `run`, make it current, and drop all but the last and best."""
    state = {
        "position": asdict(position),
        "identities": identities,
        "scaler": scaler.state_dict(),
        "settings": settings.model_dump(mode="json"),
        "settings_sha256": settings.digest(),
        "versions": versions(),
    }
    number = storage.write_generation(
        run,
        {
            WEIGHTS: to_bytes(network.state_dict()),
            OPTIMIZER: to_bytes(_optimizer_tensors(optimizer) | _random_state()),
            STATE: (json.dumps(state, indent=2) + "\n").encode(),
        },
    )
    if best:
        storage.point_to(run, number, BEST)
    keep = set(storage.generations(run)[-KEPT:])
    if (run / BEST).exists():
        keep.add(storage.current_generation(run, BEST))
    storage.drop_generations(run, keep)


def restore(
    run: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> Position:
    """Load the current generation of `run` into all of these; returns where training stood."""
    files = storage.read_generation(run, storage.current_generation(run))
    state = json.loads(files[STATE])
    network.load_state_dict(from_bytes(files[WEIGHTS], str(run)))
    tensors = from_bytes(files[OPTIMIZER], str(run))
    _restore_random_state(tensors)
    _restore_optimizer(optimizer, tensors, run)
    if state["scaler"]:
        scaler.load_state_dict(state["scaler"])
    return Position(**state["position"])


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "reid_attn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),  # importing it takes seconds
    }


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, entries in state.items()
        for name, value in entries.items()
    }


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], run: Path
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        group, _, rest = key.partition(".")
        if group == "optimizer":
            index, _, name = rest.partition(".")
            state.setdefault(int(index), {})[name] = tensor
    try:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise DamagedError(f"{run}: the optimizer's state does not fit ({error})") from error


def _random_state() -> dict[str, Tensor]:
    state = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def _restore_random_state(tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
