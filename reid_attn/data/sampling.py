"""Which pictures stand in which batch: P×K sampling, and the share of each process.

Everything is drawn from (seed, epoch), so every process and every resumed run makes the same plan.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..settings import BatchSettings, Settings
from .dataset import Dataset


@dataclass(frozen=True)
class Shard:
    """One of `size` processes that train together, counted from 0."""

    rank: int = 0
    size: int = 1

    def places(self, batch: BatchSettings) -> slice:
        """Where in a batch of P×K its pictures stand: whole persons, as many for each process."""
        if batch.persons % self.size:
            raise UsageError(
                f"batch.persons is {batch.persons}, which {self.size} processes cannot share "
                f"equally: set it to a multiple of {self.size}"
            )
        share = batch.persons // self.size * batch.images
        return slice(self.rank * share, (self.rank + 1) * share)


def generator(seed: int, epoch: int, place: int) -> np.random.Generator:
    """Place 0 orders the epoch; place n belongs to its n-th picture, counted from 1."""
    return np.random.default_rng((seed, epoch, place))


def plan_epoch(dataset: Dataset, settings: Settings, epoch: int) -> list[list[int]]:
    """The epoch's batches, of all processes together, as indices into `dataset.train`."""
    persons = [picture.person for picture in dataset.train]
    cameras = [picture.camera for picture in dataset.train]
    return epoch_batches(persons, settings.batch, settings.seed, epoch, cameras)


def epoch_batches(
    labels: Sequence[int],
    batch: BatchSettings,
    seed: int,
    epoch: int,
    cameras: Sequence[int] = (),
) -> list[list[int]]:
    """The batches of one epoch: lists of P×K indices into `labels`, K in a row for each person.

    P×K sampling is of Hermans et al. (arXiv 1703.07737); the field made it exhaustive, which is
    `epoch="images"`: each person's pictures are shuffled and cut into groups of K (a rest waits for
    another epoch), and P persons with a group left are drawn until there are fewer than P. With
    `epoch="persons"` each person has one group; what does not fill a batch is left out.
    With `cameras="balanced"` the groups of a person hold as many different `cameras` (one for each
    label) as they can. `UsageError` when there are fewer persons than P.
    """
    draws = generator(seed, epoch, 0)
    pictures: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        pictures[label].append(index)
    if len(pictures) < batch.persons:
        raise UsageError(
            f"batch.persons is {batch.persons}, but there are only {len(pictures)} persons to "
            f"train with: set batch.persons to {len(pictures)} or less"
        )
    groups = {}
    for person in sorted(pictures):
        own, once = pictures[person], batch.epoch == "persons"
        if batch.cameras == "balanced":
            number = 1 if once else max(1, len(own) // batch.images)
            groups[person] = _balanced(own, cameras, batch.images, number, draws)
        else:
            cut = _groups(own, batch.images, draws)
            groups[person] = cut[:1] if once else cut
    batches = []
    while len(groups) >= batch.persons:
        drawn = draws.choice(list(groups), batch.persons, replace=False).tolist()
        batches.append([index for person in drawn for index in groups[person].pop()])
        groups = {person: left for person, left in groups.items() if left}
    return batches


def _groups(indices: Sequence[int], images: int, draws: np.random.Generator) -> list[list[int]]:
    """Shuffled groups of `images`; a person with fewer pictures repeats some in its only group."""
    shuffled = _filled(draws.permutation(indices).tolist(), images, draws)
    return [shuffled[i : i + images] for i in range(0, len(shuffled) - images + 1, images)]


def _balanced(
    indices: Sequence[int],
    cameras: Sequence[int],
    images: int,
    number: int,
    draws: np.random.Generator,
) -> list[list[int]]:
    """`number` groups of `images`; no division has more different cameras, summed over groups.

    Dealt out like cards, camera after camera, the n pictures of one camera reach min(n, `number`)
    groups, and more they cannot. What does not fit is left out where a camera has most.
    """
    shuffled = draws.permutation(indices).tolist()
    turn, seen = {}, Counter[int]()
    for index in shuffled:
        turn[index] = seen[cameras[index]]
        seen[cameras[index]] += 1
    kept = sorted(shuffled, key=lambda index: turn[index])[: number * images]
    order = {camera: place for place, camera in enumerate(seen)}
    dealt = sorted(kept, key=lambda index: order[cameras[index]])
    return [_filled(dealt[group::number], images, draws) for group in range(number)]


def _filled(indices: list[int], images: int, draws: np.random.Generator) -> list[int]:
    """`indices`, with some repeated when they are fewer than `images`."""
    if len(indices) >= images:
        return indices
    return [*indices, *draws.choice(indices, images - len(indices)).tolist()]
