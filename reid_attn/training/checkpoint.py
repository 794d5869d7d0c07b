"""Checkpoints: one generation of three files, from which training goes on bit for bit.

`weights.safetensors` holds the network that is the result, `state.safetensors` all other tensors
(`optimizer.NAME OF THE PARAMETER.…`, `objective.…`, `random.…`, and with an average of weights
`raw.…`, the network that learns), `state.json` the position, the settings and the versions. The
sampler and the augmentation are functions of (seed, epoch, index) and the learning rate of the
step, so they need no state.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__, storage
from ..errors import DamagedError, MismatchError
from ..models.weights import BEST, STATE, WEIGHTS, from_bytes, to_bytes
from .learner import Learner

TENSORS = "state.safetensors"
KEPT = 2


@dataclass
class Position:
    """Where a training stands, and what it has summed up in the epoch so far."""

    epoch: int = 0
    step: int = 0
    """Finished batches of this epoch; with `optimizer.accumulate` several make a step."""
    sums: dict[str, float] = field(default_factory=dict)
    log_rows: int = 0
    best_mAP: float = -1.0
    unscored: bool = False
    """Whether the evaluation after the last finished epoch is still to come."""
    seconds: float = 0.0


def save(
    run: Path,
    learner: Learner,
    position: Position,
    people: Sequence[str],
    random: Mapping[str, Tensor],
    best: bool,
    replace: bool,
) -> None:
    """Write the next generation of `run`, make it current, and drop all but the last and best.

    `people` are the training persons in the order of their classes, `random` is the `random_state`
    of every process. With `replace` the one before is dropped, which lacks nothing but scores.
    """
    replaced = {storage.current_generation(run)} if replace else set()
    state = {
        "position": asdict(position),
        "identities": len(people),
        "people_sha256": _digest(people),
        "scaler": learner.scaler.state_dict(),
        "settings": learner.settings.model_dump(mode="json"),
        "settings_sha256": learner.settings.digest(),
        "versions": versions(),
    }
    number = storage.write_generation(
        run,
        {
            WEIGHTS: to_bytes(learner.result.state_dict()),
            TENSORS: to_bytes({**_tensors(learner), **random}),
            STATE: (json.dumps(state, indent=2) + "\n").encode(),
        },
    )
    if best:
        storage.point_to(run, number, BEST)
    keep = set([n for n in storage.generations(run) if n not in replaced][-KEPT:])
    if (run / BEST).exists():
        keep.add(storage.current_generation(run, BEST))
    storage.drop_generations(run, keep)


def read(run: Path) -> dict[str, bytes]:
    """The files of the current generation of `run`; none when it has no generation yet."""
    if not (run / storage.POINTER).exists():
        return {}
    return storage.read_generation(run, storage.current_generation(run))


def restore(
    files: Mapping[str, bytes], run: Path, learner: Learner, people: Sequence[str]
) -> Position:
    """Load what `read` gave, and this process's random state; returns where training stood.

    Raises:
        MismatchError: `people` are not those of the checkpoint.
    """
    state = json.loads(files[STATE])
    _refuse_others(state, people, run)
    tensors = from_bytes(files[TENSORS], str(run))
    learner.result.load_state_dict(from_bytes(files[WEIGHTS], str(run)))
    if learner.average:
        learner.network.load_state_dict(_below("raw.", tensors))
    learner.objective.load_state_dict(_below("objective.", tensors))
    _restore_random_state(tensors, learner.processes.rank)
    _restore_optimizer(learner, _below("optimizer.", tensors), run)
    if state["scaler"]:
        learner.scaler.load_state_dict(state["scaler"])
    return Position(**state["position"])


def random_state(rank: int) -> dict[str, Tensor]:
    """The state of torch's generators in process `rank`, under names of its own."""
    state = {_of("random.cpu", rank): torch.get_rng_state()}
    if torch.cuda.is_available():
        state[_of("random.cuda", rank)] = torch.cuda.get_rng_state()
    return state


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "reid_attn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),  # importing it takes seconds
    }


def _refuse_others(state: Mapping[str, Any], people: Sequence[str], run: Path) -> None:
    """A classifier is of no use for other persons, nor for the same ones in another order."""
    same = state.get("people_sha256", _digest(people)) == _digest(people)  # older runs have none
    if not same or state["identities"] != len(people):
        raise MismatchError(
            f"{run} trains with {state['identities']} persons, and its pictures now show "
            f"{len(people)}{'' if same else ', not the same ones'}: bring the old pictures back, "
            "or start a new run"
        )


def _digest(people: Sequence[str]) -> str:
    return storage.sha256(json.dumps(people).encode())


def _tensors(learner: Learner) -> dict[str, Tensor]:
    found = {f"objective.{key}": value for key, value in learner.objective.state_dict().items()}
    if learner.average:
        found |= {f"raw.{key}": value for key, value in learner.network.state_dict().items()}
    names: dict[Tensor, str] = {p: name for name, p in learner.network.named_parameters()}
    for parameter, entries in learner.optimizers[0].state.items():
        for key, value in entries.items():
            if value is not None:  # the momentum of an `sgd` without it
                found[f"optimizer.{names[parameter]}.{key}"] = torch.as_tensor(value)
    return found


def _restore_optimizer(learner: Learner, tensors: Mapping[str, Tensor], run: Path) -> None:
    optimizer, network = learner.optimizers[0], learner.network
    learning = [name for name, p in network.named_parameters() if p.requires_grad]
    names = {parameter: name for name, parameter in network.named_parameters()}
    grouped = [names[p] for group in optimizer.param_groups for p in group["params"]]
    index = {name: number for number, name in enumerate(grouped)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition(".")
        if name.isdigit():  # version 0.1 counted the parameters that learn
            name = learning[int(name)] if int(name) < len(learning) else ""
        if name not in index:
            raise DamagedError(f"{run}: the optimizer's state does not fit ('{key}' is unknown)")
        state.setdefault(index[name], {})[entry] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): tensors[k] for k in tensors if k.startswith(prefix)}


def _restore_random_state(tensors: Mapping[str, Tensor], rank: int) -> None:
    """A process that was not there before keeps the state of its start."""
    if (name := _of("random.cpu", rank)) in tensors:
        torch.set_rng_state(tensors[name])
    if torch.cuda.is_available() and (name := _of("random.cuda", rank)) in tensors:
        torch.cuda.set_rng_state(tensors[name])


def _of(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name
