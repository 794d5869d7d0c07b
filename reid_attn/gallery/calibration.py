"""From which score on a person counts as known, measured on the gallery's own pictures.

Persons that two cameras saw are searched for, half of them as if they were not in the gallery
(`evaluation/openset.py`). The threshold is the smallest at which no more than the wanted share of
the absent ones is accepted; what it achieves is measured on other persons than those.
"""

from dataclasses import asdict

import numpy as np

from ..errors import DataError
from ..evaluation.openset import open_set
from .contract import Store
from .filters import LIVE
from .record import Calibration

QUERIES = 2_000  # pictures that are searched for, drawn at random
PICTURES = 200_000  # that are searched, drawn at random


def calibrate(store: Store, false_match_rate: float, seed: int = 0) -> Calibration:
    """Measure the threshold and keep it in the store.

    `DataError` when the gallery cannot tell: it needs named persons at two cameras.
    """
    rows = [row for row in store.rows(LIVE) if row.person]
    generator = np.random.default_rng(seed)
    if len(rows) > PICTURES:
        rows = [rows[place] for place in sorted(generator.permutation(len(rows))[:PICTURES])]
    names, persons = np.unique([row.person for row in rows], return_inverse=True)
    cameras = np.array([row.camera for row in rows], np.int64)
    vectors = store.vectors([row.row for row in rows])
    queries = np.sort(generator.permutation(len(rows))[:QUERIES])
    try:
        found = open_set(
            vectors[queries],
            persons[queries],
            cameras[queries],
            vectors,
            persons,
            cameras,
            false_match_rate=false_match_rate,
            seed=seed,
        )
    except DataError as error:
        raise DataError(
            f"the threshold of {store.place} cannot be measured with its {len(names)} named "
            f"persons: {error}"
        ) from error
    calibration = Calibration(
        threshold=found.threshold,
        wanted_rate=false_match_rate,
        measured_rate=found.false_match_rate,
        detection_rate=found.detection_identification_rate,
        gallery=found.gallery,
        unknown_queries=found.calibration_queries,
        generation=store.meta().generation,
    )
    store.annotate("calibrate", calibration=asdict(calibration))
    return calibration
