"""One-shot retrieval: pictures against pictures, ranked by cosine, with nothing left behind."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from .. import storage
from ..data.images import pictures_at
from ..data.market1501 import DISTRACTOR, JUNK, parse_name
from ..errors import DataError, MismatchError, UsageError
from ..features import Embedder, Features
from ..features.file import SUFFIX, load
from ..features.parts import embed_in_parts
from ..neighbours import ExactIndex
from .page import write_ranked_page
from .paper import guarded
from .progress import counted
from .ranked_lists import Hit, RankedList
from .tables import print_ranked

PRINTED = 3
UNKNOWN = -1


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
    queries = embed_pictures(embedder, query, console)
    if gallery.suffix.lower() == SUFFIX:
        stored = load(gallery).unit()
        _check_comparable(embedder, stored, gallery)
    else:
        stored = embed_pictures(embedder, gallery, console)
    lists = rank(queries, stored, k)
    storage.remove(output / "ranked.html")  # no page of an older search beside the new table
    storage.write_text(output / "ranked.csv", _csv(lists))
    notes = {
        "run": str(run),
        "queries": str(len(lists)),
        "gallery": f"{gallery} ({len(stored)} pictures)",
        "metric": "cosine, exact",
        "fingerprint": embedder.fingerprint,
    }
    title = f"{query.resolve().name} in {gallery.resolve().name}"
    write_ranked_page(output / "ranked.html", title, lists, notes)
    for ranked in lists[:PRINTED]:
        print_ranked(console, ranked)
    if len(lists) > PRINTED:
        console.print(f"… and {len(lists) - PRINTED} more queries")
    if k > len(stored):
        console.print(f"the gallery holds {len(stored)} pictures, so k = {k} shows all of them")
    console.print(f"{output / 'ranked.html'}\n{output / 'ranked.csv'}", soft_wrap=True)


def embed_pictures(
    embedder: Embedder, place: Path, console: Console, parts: Path | None = None
) -> Features:
    """Unit features of a picture or of all pictures below a folder.

    With a folder for `parts`, many pictures are embedded in parts that are kept in it.
    Persons and cameras come from the names when all of them follow Market-1501; `-1` is then
    dropped, as in the data set. Else they are unknown.
    """
    paths = pictures_at(place)
    if not paths:
        raise DataError(f"there is no picture at {place}: name a JPEG or PNG file or a folder")
    parsed = [parse_name(path.name) for path in paths]
    labels = [label for label in parsed if label is not None]
    if len(labels) < len(paths):
        labels = [(UNKNOWN, UNKNOWN)] * len(paths)
    else:
        kept = [i for i, (person, _) in enumerate(labels) if person != JUNK]
        paths, labels = [paths[i] for i in kept], [labels[i] for i in kept]
    if not paths:
        raise DataError(
            f"no picture is left at {place}: all have names that begin with -1, which marks junk; "
            "name other pictures"
        )
    with counted(console, f"features of {place.resolve().name}", len(paths)) as progress:
        if parts is None:
            vectors = embedder(paths, progress)
        else:
            vectors = embed_in_parts(embedder, paths, parts, progress)
    persons, cameras = np.array(labels, np.int64).reshape(-1, 2).T
    return Features(vectors, persons, cameras, tuple(map(str, paths)), embedder.fingerprint)


def rank(queries: Features, gallery: Features, k: int) -> list[RankedList]:
    """The `k` most similar gallery pictures of each query, unit vectors on both sides.

    The query's own file is left out, and same-camera junk where it is known.
    """
    if not len(gallery):
        raise DataError("the gallery is empty: there is nothing to search")
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
                person=_label(gallery.persons[row]),
                camera=_label(gallery.cameras[row]),
                kind="distractor" if nobody else "",
            )
        )
    name = Path(queries.names[query])
    return RankedList(name, _label(person), _label(camera), tuple(hits), None)


def _file(name: str) -> str:
    """The one path of the file that is called so, whatever links lead to it."""
    try:
        return os.path.realpath(name)
    except ValueError:  # a NUL, or half a character: no file is called so
        return name


def _label(number: int) -> str:
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
