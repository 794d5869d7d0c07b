"""One-shot retrieval: pictures against pictures, ranked by cosine, with nothing left behind."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from .. import storage
from ..data.market1501 import DISTRACTOR, written_person
from ..errors import DataError, MismatchError, UsageError
from ..features import Embedder, Features
from ..features.file import SUFFIX, load
from ..neighbours import ExactIndex
from .page import write_ranked_page
from .paper import guarded
from .pictures import UNKNOWN, Listed, embed, list_pictures
from .ranked_lists import Hit, RankedList
from .tables import print_ranked

PRINTED = 3


def retrieve(
    run: Path, checkpoint: str, query: Path, gallery: Path, k: int, output: Path, console: Console
) -> None:
    """Rank the gallery for each query; writes `ranked.html` and `ranked.csv` into `output`.

    Where persons and cameras are known on both sides, gallery pictures of the query's person at
    the query's camera are left out, and answers are judged.
    """
    if k < 1:
        raise UsageError(f"-k must be at least 1, not {k}")
    embedder = Embedder(run, checkpoint)
    asking, searched = list_pictures(query), _gallery(embedder, gallery)
    with storage.target_folder(output):
        queries, stored = _embedded(embedder, asking, searched, console)
        lists = rank(queries, stored, k)
        storage.remove(output / "ranked.html")  # no page of an older search beside the new table
        storage.write_text(output / "ranked.csv", _csv(lists))
        unjudged = _unjudged(asking, searched)
        notes = {
            "run": str(run),
            "queries": str(len(lists)),
            "gallery": f"{gallery} ({len(stored)} pictures)",
            "metric": "cosine, exact",
            "fingerprint": embedder.fingerprint,
            **({"not judged": unjudged} if unjudged else {}),
        }
        title = f"{query.resolve().name} in {gallery.resolve().name}"
        write_ranked_page(output / "ranked.html", title, lists, notes)
    _tell(console, lists, len(stored), k, unjudged)
    console.print(f"{output / 'ranked.html'}\n{output / 'ranked.csv'}", soft_wrap=True)


def _gallery(embedder: Embedder, place: Path) -> Listed | Features:
    """The gallery's pictures, or the features that a file has; errors for what is of no use."""
    if place.suffix.lower() != SUFFIX:
        return list_pictures(place)
    stored = load(place).unit()
    _check_comparable(embedder, stored, place)
    if not len(stored):
        raise DataError(f"{place} holds no features: there is nothing to search")
    return stored


def _embedded(
    embedder: Embedder, asking: Listed, searched: Listed | Features, console: Console
) -> list[Features]:
    """Of the queries and of the gallery."""
    if isinstance(searched, Listed):
        return embed(embedder, [asking, searched], console)
    return [*embed(embedder, [asking], console), searched]


def _unjudged(asking: Listed, searched: Listed | Features) -> str:
    """Why no answer is judged; an empty text where all are."""
    if isinstance(searched, Listed):
        lack = searched.lack("gallery pictures")
        if lack:
            lack += " (evaluate --data folder:PATH judges what lies in a folder for each person)"
    else:
        unknown = int(((searched.persons < 0) | (searched.cameras < 0)).sum())
        lack = f"{unknown} of {len(searched)} gallery features without person and camera"
        lack = lack if unknown else ""
    return " and ".join(filter(None, [asking.lack("queries"), lack]))


def _tell(
    console: Console, lists: Sequence[RankedList], stored: int, k: int, unjudged: str
) -> None:
    """Print the first lists, and what is not as one might expect it."""
    for ranked in lists[:PRINTED]:
        print_ranked(console, ranked)
    if len(lists) > PRINTED:
        console.print(f"… and {len(lists) - PRINTED} more queries")
    longest = max(len(ranked.hits) for ranked in lists)
    if longest < k:
        console.print(
            f"the longest list has {longest} of the gallery's {stored} pictures, fewer than k = {k}"
        )
    if unjudged:
        note = f"answers are not judged, and the query's own camera is not left out: {unjudged}"
        console.print(note, soft_wrap=True, markup=False, highlight=False)


def rank(queries: Features, gallery: Features, k: int) -> list[RankedList]:
    """The `k` most similar gallery pictures of each query, unit vectors on both sides.

    The query's own file is left out, and same-camera junk where it is known.
    """
    index = ExactIndex(gallery.vectors.shape[1])
    index.add(np.arange(len(gallery)), gallery.vectors)
    judged = queries.labelled and gallery.labelled
    left_out = 1 + (_most_junk(queries, gallery) if judged else 0)  # 1: the query's own file
    while True:
        scores, rows = index.search(queries.vectors, k + left_out)
        lists = [
            _ranked(queries, gallery, q, scores[q], rows[q], k, judged) for q in range(len(rows))
        ]
        if k + left_out >= len(gallery) or all(len(ranked.hits) == k for ranked in lists):
            return lists
        left_out *= 2  # several names of the query's own file, which only a look at each can tell


def _most_junk(queries: Features, gallery: Features) -> int:
    """How many gallery pictures at most are junk to one query: so many more are fetched."""
    pairs, counts = np.unique(
        np.stack([gallery.persons, gallery.cameras], axis=1), axis=0, return_counts=True
    )
    known = dict(zip(map(tuple, pairs.tolist()), counts.tolist(), strict=True))
    wanted = zip(queries.persons.tolist(), queries.cameras.tolist(), strict=True)
    return max((known.get(pair, 0) for pair in wanted), default=0)


def _ranked(
    queries: Features,
    gallery: Features,
    query: int,
    scores: Sequence[float],
    rows: Sequence[int],
    k: int,
    judged: bool,
) -> RankedList:
    person, camera = queries.persons[query], queries.cameras[query]
    own = _file(queries.names[query])
    hits: list[Hit] = []
    for row, score in zip(rows, scores, strict=True):
        if len(hits) == k:
            break
        same_person = bool(gallery.persons[row] == person)
        junk = judged and same_person and gallery.cameras[row] == camera
        if junk or (gallery.names and _file(gallery.names[row]) == own):
            continue
        nobody = judged and not same_person and gallery.persons[row] == DISTRACTOR
        hits.append(
            Hit(
                picture=Path(gallery.names[row]) if gallery.names else None,
                score=float(score),
                correct=same_person if judged else None,
                person=_person(gallery, row),
                camera=_number(gallery.cameras[row]),
                kind="distractor" if nobody else "",
            )
        )
    name = Path(queries.names[query])
    return RankedList(name, _person(queries, query), _number(camera), tuple(hits), None)


def _file(name: str) -> str:
    """The one path of the file that is called so, whatever links lead to it."""
    try:
        return os.path.realpath(name)
    except ValueError:  # a NUL, or half a character: no file is called so
        return name


def _person(features: Features, row: int) -> str:
    """As the picture's name writes it, such as 0047, which is what a gallery calls the person."""
    number = features.persons[row]
    written = written_person(Path(features.names[row]).name) if features.names else ""
    return written if written and int(written) == number else _number(number)


def _number(number: int) -> str:
    return "" if number == UNKNOWN else str(number)


def _check_comparable(embedder: Embedder, gallery: Features, path: Path) -> None:
    if gallery.fingerprint and gallery.fingerprint != embedder.fingerprint:
        raise MismatchError(
            f"{path} was extracted with another network or other settings "
            f"({gallery.fingerprint[:12]}… instead of {embedder.fingerprint[:12]}…): extract it "
            "again with this run"
        )
    if gallery.vectors.shape[1] != embedder.dimension:
        raise MismatchError(
            f"{path} holds features of {gallery.vectors.shape[1]} numbers and the run's have "
            f"{embedder.dimension}: they come from another network"
        )


def _csv(lists: Sequence[RankedList]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["query", "rank", "score", "picture", "person", "camera", "correct"])
    for ranked in lists:
        for place, hit in enumerate(ranked.hits, start=1):
            correct = "" if hit.correct is None else int(hit.correct)
            picture = guarded(str(hit.picture or ""))
            row = [place, f"{hit.score:.6f}", picture, hit.person, hit.camera, correct]
            writer.writerow([guarded(str(ranked.query)), *row])
    return buffer.getvalue()
