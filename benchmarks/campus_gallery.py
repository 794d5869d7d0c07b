"""A gallery of a fold's test pictures, end to end: search, identify and link beside the truth.

    .venv/bin/python -m benchmarks.campus_gallery --run RUN --data FOLD

RUN is a trained run or a network FILE.onnx, FOLD a folder in the layout of Market-1501. Galleries
are made in a folder that is removed again.

- search, by the commands: rank-1 of the queries, once with `--other-cameras-only`, once with only
  the pictures of the query's person at its camera left out, as the protocol of Market-1501 has it.
  Both must be what `evaluate` finds on features that were extracted apart.
- identify: pictures of every other person are known, the queries of all persons are named.
- link: all test pictures without names, distractors among them; as single pictures, and as one
  track for each person and camera, where a person passes a camera once.

The threshold is the one that `calibrate` measures on the known half. Precision and recall are over
pairs of pictures: of the pairs that were called one person, the share that is; and of the pairs
that are, the share that was called so. Distractors are alike to no person; whether two of them are
one is not known, and such pairs are left out.
"""

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_attn.commands import main as command
from reid_attn.data.images import find
from reid_attn.data.market1501 import JUNK, parse_name
from reid_attn.evaluation import evaluate
from reid_attn.features import Embedder
from reid_attn.gallery import Gallery

DISTRACTOR = 0
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)
Integers = NDArray[np.int64]


class Part(NamedTuple):
    """The pictures of a split, junk left out."""

    paths: list[Path]
    persons: Integers
    cameras: Integers
    vectors: NDArray[np.float32]

    def of(self, which: NDArray[np.bool_]) -> "Part":
        """Some of them."""
        paths = [path for path, wanted in zip(self.paths, which, strict=True) if wanted]
        return Part(paths, self.persons[which], self.cameras[which], self.vectors[which])


def read(folder: Path, embedder: Embedder) -> Part:
    """Find and embed a split."""
    named = [(path, parse_name(path.name)) for path in find(folder)]
    kept = [(path, *name) for path, name in named if name is not None and name[0] != JUNK]
    paths, persons, cameras = (list(column) for column in zip(*kept, strict=True))
    return Part(paths, np.array(persons), np.array(cameras), embedder(paths))


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(*words: object) -> Any:
    """What `reid-attn gallery … --json` prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = command(["gallery", *map(str, words), "--json"])
    if code:
        raise SystemExit(code)
    return json.loads(output.getvalue())


def by_search(folder: Path, query: Path, words: Sequence[object]) -> float:
    """Rank-1 of what the gallery answers, the query's person at its camera left out."""
    right = []
    for answer in told("search", folder, query, *words)["queries"]:
        person, camera = parse_name(Path(answer["query"]).name) or (JUNK, 0)
        own = (f"{person:04d}", camera)
        hits = [hit for hit in answer["hits"] if (hit["person"], hit["camera"]) != own]
        right.append(hits[0]["person"] == own[0])
    return float(np.mean(right))


def by_evaluate(query: Part, stored: Part) -> float:
    """Rank-1 by the metric's own code."""
    arrays = [(p.vectors, p.persons, p.cameras) for p in (query, stored)]
    return evaluate(*arrays[0], *arrays[1]).rank1


def other_cameras(query: Part, stored: Part) -> float:
    """The same, where no picture of the query's camera is searched."""
    cameras = np.unique(query.cameras)
    parts = [(query.of(query.cameras == c), stored.of(stored.cameras != c)) for c in cameras]
    found = [by_evaluate(*part) * len(part[0].paths) for part in parts]
    return sum(found) / len(query.paths)


def fill(
    gallery: Gallery, part: Part, persons: Sequence[str | None], tracks: Sequence[str] | None = None
) -> None:
    """Add pictures that are embedded already."""
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in part.paths]
    gallery.add_vectors(
        part.vectors, persons, part.cameras.tolist(), part.paths, digests, tracks=tracks
    )


def pairwise(gallery: Gallery, asked: int) -> str:
    """Precision and recall over the pairs with one of the last `asked` rows."""
    rows = gallery.rows()
    called = np.unique([row.person or f"row {row.row}" for row in rows], return_inverse=True)[1]
    names = [parse_name(Path(row.source.decode()).name) or (JUNK, 0) for row in rows]
    persons = np.array([person or -row.row for (person, _), row in zip(names, rows, strict=True)])
    which = np.triu(~np.logical_and.outer(persons < 0, persons < 0), 1)
    which[:, : len(rows) - asked] = False
    together, alike = called[:, None] == called, persons[:, None] == persons
    both = int((which & together & alike).sum())
    said, true = int((which & together).sum()), int((which & alike).sum())
    precision, recall = both / max(said, 1), both / max(true, 1)
    return f"precision {precision:.3f} ({both}/{said}), recall {recall:.3f} ({both}/{true})"


def identify(gallery: Gallery, query: Part, stored: Part, rate: float) -> float:
    """Half of the persons are known; returns the threshold, calibrated on them."""
    half = np.unique(stored.persons[stored.persons != DISTRACTOR])[::2]
    known = stored.of(np.isin(stored.persons, half))
    fill(gallery, known, [f"{person:04d}" for person in known.persons])
    threshold = gallery.calibrate(rate).threshold
    fill(gallery, query, [None] * len(query.paths))
    found = gallery.identify()
    true = [f"{person:04d}" if person in half else "" for person in query.persons]
    said = ["" if identity.new else identity.person for identity in found]
    pairs = list(zip(said, true, strict=True))
    right = sum(one == other != "" for one, other in pairs)
    rejected = sum(one == other == "" for one, other in pairs)
    say(
        f"identify, threshold {threshold:.3f}: {right} of {sum(map(bool, true))} queries of "
        f"{len(half)} known persons rightly named, {rejected} of {true.count('')} of others "
        f"called new; pairs: {pairwise(gallery, len(found))}",
    )
    return threshold


def link(gallery: Gallery, stored: Part, calibrated: float, tracked: bool) -> None:
    """All test pictures, by several thresholds."""
    marks = [
        f"d{number}" if person == DISTRACTOR else f"t{person}"
        for number, person in enumerate(stored.persons)
    ]
    fill(gallery, stored, [None] * len(marks), marks if tracked else None)
    for threshold in (calibrated, *THRESHOLDS):
        groups = gallery.link(threshold=threshold, once_per_camera=tracked, apply=True)
        kind = "tracks of a camera" if tracked else "single pictures"
        say(
            f"link, {kind}, threshold {threshold:.3f}: {len(groups)} persons; pairs: "
            f"{pairwise(gallery, len(stored.paths))}",
        )
        if groups:
            gallery.undo()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--run", required=True, help="a trained run, or a network FILE.onnx")
    parser.add_argument("--data", type=Path, required=True, help="a folder like Market-1501")
    parser.add_argument("--rate", type=float, default=0.05, help="false matches allowed (0.05)")
    arguments = parser.parse_args()
    embedder = Embedder(arguments.run)
    queries, pictures = arguments.data / "query", arguments.data / "bounding_box_test"
    query, stored = read(queries, embedder), read(pictures, embedder)
    made = {"fingerprint": embedder.fingerprint, "dimension": embedder.dimension}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        told("create", folder / "all", "--run", arguments.run)
        say(f"gallery: {told('add', folder / 'all', pictures)['rows']} pictures")
        for rule, words, expected in (
            ("other cameras only", ["--other-cameras-only", "-k", 1], other_cameras),
            ("Market-1501's rule", ["-k", len(stored.paths)], by_evaluate),
        ):
            found = by_search(folder / "all", queries, words)
            wanted = expected(query, stored)
            say(f"search, {rule}: rank-1 {found:.4f}, evaluate {wanted:.4f}")
        for name in ("known", "pictures", "tracks"):
            Gallery.create(folder / name, **made)
        with Gallery.open(folder / "known") as gallery:
            threshold = identify(gallery, query, stored, arguments.rate)
        for name in ("pictures", "tracks"):
            with Gallery.open(folder / name) as gallery:
                link(gallery, stored, threshold, name == "tracks")


if __name__ == "__main__":
    main()
