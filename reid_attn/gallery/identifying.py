"""Who tracks show: somebody known, by threshold, or a new person.

A track is compared with every picture of the known persons, and its best one counts, as in a search
(which is what the calibrated threshold was measured for). The most certain pair is taken first, and
then bars its person from every track that cannot show him as well. Tracks for which nobody is left
are clustered among themselves (`linking.py`), and each cluster is a new person.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import adding, pictures
from .contract import Embedder, Store, Vectors
from .filters import LIVE, Where
from .linking import clusters, needed_threshold
from .persons import NewKeys
from .pictures import Hashed, Progress
from .ranking import ranked
from .record import Entry, Row
from .sightings import Sighting
from .tracks import Track, apart, mean_vectors, tracks_of


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a track shows."""

    track: Track
    person: str
    """The key; `new-1`, `new-2`, … for new persons of pictures that are not in the gallery."""
    name: str
    new: bool
    score: float | None
    """The cosine with the person; for a new one the best with anybody known whom it can show."""


def identify(
    store: Store,
    embedder: Callable[[], Embedder],
    sightings: Sequence[Sighting] | None,
    threshold: float | None,
    once: bool,
    dry_run: bool,
    progress: Progress,
) -> list[Identity]:
    """Name the pictures of nobody known: those of `sightings`, which are added, or all there are.

    With `dry_run` nothing is added or named. All names are given in one change.
    """
    limit = needed_threshold(store, threshold)
    if sightings is not None and not dry_run:
        adding.add_sightings(store, embedder(), sightings, progress)
    meant = None if sightings is None else pictures.hashed([s.checked() for s in sightings])
    generation = store.meta().generation
    rows = store.rows(LIVE)
    keys = None if meant is None else {item.key for item in meant}
    unknown: list[Row | Entry] = [
        row for row in rows if not row.person and (keys is None or row.key in keys)
    ]
    if meant and dry_run:
        unknown += pictures.entries(embedder(), _absent(meant, rows), False, progress)
    found = identities(store, tracks_of(unknown), rows, limit, once)
    if not dry_run:
        labels = {row: (i.person, i.name) for i in found for row in i.track.rows}
        store.relabel(labels, "identify", as_of=generation)
    return found


def identities(
    store: Store, tracks: Sequence[Track], rows: Sequence[Row], threshold: float, once: bool
) -> list[Identity]:
    """Who the tracks show, given all `rows` of the gallery."""
    if not tracks:
        return []
    vectors, conflicts = mean_vectors(store, tracks), apart(tracks, tracks, once)
    names = {row.person: row.name for row in sorted(rows, key=lambda row: bool(row.name))}
    barred = _barred(tracks, [row for row in rows if row.person], once)
    # so many may be out of question before the one who is left to a track
    k = 1 + int(conflicts.sum(axis=1).max()) + max(map(len, barred))
    pairs = _pairs(store, vectors, frozenset(names) - {""}, k)
    chosen = _chosen(pairs, barred, conflicts, threshold)
    rest = [place for place in range(len(tracks)) if place not in chosen]
    fresh = _new_keys(store, [tracks[place] for place in rest], vectors[rest], threshold, once)
    keys = {**chosen, **dict(zip(rest, fresh, strict=True))}
    found = []
    for place, track in enumerate(tracks):
        new, person = place not in chosen, keys[place]
        possible = [
            s for s, who in pairs[place] if (who not in barred[place] if new else who == person)
        ]
        score = max(possible, default=None)
        found.append(Identity(track, person, names.get(person, ""), new, score))
    return found


Pairs = list[list[tuple[float, str]]]
"""For each track its scores with known persons, best first."""


def _absent(meant: Sequence[Hashed], rows: Sequence[Row]) -> list[Hashed]:
    """The pictures of nobody known that are not in the gallery, each once."""
    there = {row.key for row in rows}
    new = {item.key: item for item in meant if not item.sighting.person}
    return [item for key, item in new.items() if key not in there]


def _barred(tracks: Sequence[Track], named: Sequence[Row], once: bool) -> list[set[str]]:
    """For each track the persons whom it cannot show, since the camera saw them elsewhere then."""
    cameras: dict[int, list[Track]] = {}
    for track in tracks_of(named):
        cameras.setdefault(track.camera, []).append(track)
    found = []
    for track in tracks:
        others = cameras.get(track.camera, [])
        places = np.flatnonzero(apart([track], others, once)[0]) if others else ()
        found.append({picture.person for place in places for picture in others[place].pictures})
    return found


def _pairs(store: Store, vectors: Vectors, known: frozenset[str], k: int) -> Pairs:
    """The `k` most likely persons of each unit row (T, D)."""
    if not known:
        return [[] for _ in vectors]
    meant = [Where(persons=known)] * len(vectors)
    found = ranked(store, vectors, min(k, len(known)), meant, "person", False)
    return [[(hit.score, hit.row.person) for hit in hits] for hits in found]


def _chosen(
    pairs: Pairs, barred: Sequence[set[str]], conflicts: NDArray[np.bool_], threshold: float
) -> dict[int, str]:
    """Who is shown by the places of tracks that show somebody known; adds to `barred`."""
    certain = sorted(
        ((score, place, who) for place, mine in enumerate(pairs) for score, who in mine),
        key=lambda pair: (-pair[0], *pair[1:]),
    )
    chosen: dict[int, str] = {}
    for score, place, who in certain:
        if score >= threshold and place not in chosen and who not in barred[place]:
            chosen[place] = who
            for other in np.flatnonzero(conflicts[place]).tolist():
                barred[other].add(who)
    return chosen


def _new_keys(
    store: Store, tracks: Sequence[Track], vectors: Vectors, threshold: float, once: bool
) -> list[str]:
    """Keys for tracks of nobody known: one for each cluster."""
    new, keys = NewKeys(store), [""] * len(tracks)
    for number, places in enumerate(clusters(tracks, vectors, threshold, once), start=1):
        rows = [row for place in places for row in tracks[place].rows]
        key = new.after(min(rows)) if rows else f"new-{number}"
        for place in places:
            keys[place] = key
    return keys
