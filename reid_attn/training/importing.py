"""A network that was trained elsewhere as a run, for every command that reads one."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from .. import storage
from ..errors import UsageError
from ..models import build_network
from ..models.adoption import Report, adopt, identities_of
from ..models.weights import IMPORTED, STATE, WEIGHTS, read_state_dict, to_bytes
from ..settings import Settings, dump
from .checkpoint import Position, versions
from .loop import SETTINGS

REPORT = "imported.json"


def import_run(weights: Path, settings: Settings, run: Path) -> Report:
    """Write the run folder of a whole network whose file is `weights`; returns what was loaded.

    The classifier gets as many persons as the file's, or one. There is no state of a training, so
    training cannot go on from here.

    Raises:
        UsageError: `run` holds a run already.
        DataError, MismatchError: the file is not readable, or not of the network of `settings`.
    """
    found = read_state_dict(weights)
    identities = identities_of(found)
    torch.manual_seed(settings.seed)
    network = build_network(settings, identities)
    report = adopt(network, found, str(weights))
    with storage.locked(run):
        if (run / storage.POINTER).exists():
            raise UsageError(f"{run} holds a run already: choose another folder with -o")
        state = {
            IMPORTED: str(weights),
            "position": asdict(Position()),
            "identities": identities,
            "settings": settings.model_dump(mode="json"),
            "settings_sha256": settings.digest(),
            "versions": versions(),
        }
        storage.write_text(run / SETTINGS, dump(settings))
        storage.write_json(run / REPORT, report.as_dict())
        storage.write_generation(
            run,
            {
                WEIGHTS: to_bytes(network.state_dict()),
                STATE: (json.dumps(state, indent=2) + "\n").encode(),
            },
        )
    return report
