"""Which tracks show one person: clusters across cameras, as far as they can be alike.

Average linkage: two clusters are as alike as the mean cosine over all their pairs of tracks, and
the most alike are joined as long as that reaches the threshold. A pair that cannot be one person is
infinitely far apart; a mean over it stays so, which keeps clusters with such a pair from joining.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from ..errors import UsageError
from .contract import Store, Vectors
from .filters import Where
from .persons import NewKeys
from .tracks import Track, apart, mean_vectors, tracks_of

MOST_TRACKS = 20_000  # the distances of all pairs are held in memory: 1.6 GB
_FAR = 1e12  # stays above 2 in a mean with as many pairs as there may be


@dataclass(frozen=True, slots=True)
class Group:
    """Tracks that seem to show one person."""

    person: str
    """The key that he has, or would get."""
    tracks: tuple[Track, ...]
    likeness: float
    """The mean cosine over all pairs of tracks."""
    weakest: float
    """The smallest."""


def link(
    store: Store, threshold: float | None, where: Where, once: bool, apply: bool
) -> list[Group]:
    """Groups of at least two tracks of nobody known; with `apply` each becomes a new person.

    `UsageError` for too many tracks, or when there is no threshold.
    """
    generation, limit = store.meta().generation, needed_threshold(store, threshold)
    tracks = tracks_of([row for row in store.rows(where) if not row.person])
    vectors = mean_vectors(store, tracks) if tracks else np.empty((0, 0), np.float32)
    keys, found = NewKeys(store), []
    for places in clusters(tracks, vectors, limit, once):
        if len(places) > 1:
            group = tuple(tracks[place] for place in places)
            person = keys.after(min(row for track in group for row in track.rows))
            found.append(Group(person, group, *_likeness(vectors[places])))
    if apply:
        rows = {row: (g.person, "") for g in found for track in g.tracks for row in track.rows}
        store.relabel(rows, "link", as_of=generation)
    return found


def clusters(
    tracks: Sequence[Track], vectors: Vectors, threshold: float, once: bool
) -> list[NDArray[np.int64]]:
    """The places of the tracks of each cluster, by its first; `vectors` (T, D) of unit length."""
    if len(tracks) > MOST_TRACKS:
        raise UsageError(
            f"{len(tracks):,} tracks cannot be linked at once, {MOST_TRACKS:,} can: choose some by "
            "camera or time"
        )
    if len(tracks) < 2:
        return [np.arange(len(tracks))] if tracks else []
    distances = 1 - (vectors @ vectors.T).astype(np.float64)
    np.maximum(distances, 0, out=distances)  # of equal vectors it may be just below, when rounded
    distances[apart(tracks, tracks, once)] = _FAR
    tree = linkage(squareform(distances, checks=False), "average")
    labels = fcluster(tree, 1 - threshold, "distance")
    _, firsts = np.unique(labels, return_index=True)
    return [np.flatnonzero(labels == labels[first]) for first in np.sort(firsts)]


def needed_threshold(store: Store, threshold: float | None) -> float:
    """`threshold`, or the calibrated one; `UsageError` when there is none, or it is no cosine."""
    measured = store.meta().calibration
    if threshold is not None:
        if not -1 <= threshold <= 1:  # nor NaN
            raise UsageError(f"the threshold {threshold} is no cosine: give one from -1 to 1")
        return float(threshold)
    if measured is None:
        raise UsageError(
            f"no threshold of {store.place} is known: measure one with 'reid-attn gallery "
            "calibrate', or give one"
        )
    return float(measured["threshold"])


def _likeness(vectors: Vectors) -> tuple[float, float]:
    """Mean and smallest cosine over the pairs of (T, D) unit vectors."""
    pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return float(pairs.mean()), float(pairs.min())
