"""The gallery as a user sees it: pictures in, ranked hits out."""

import os
import time
import warnings
from collections.abc import Sequence, Sized
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike

from .. import storage
from ..errors import DamagedError, DiskError, MismatchError, UsageError
from ..neighbours import ExactIndex
from . import cache
from .contract import Embedder, Hit, Stats, Vectors, fitting_rows
from .local import Database
from .pictures import Picture, Progress, embed, hashes, silent
from .record import Entry, Meta, camera_number, person_name


class Gallery:
    """One folder: `gallery.sqlite` is the truth, `index.cache` a copy made for searching.

    A change is done when `add` returns, and then survives the end of the process at any moment.
    Several processes may add and search at once. Open one gallery per process and thread.
    """

    def __init__(self, folder: Path, database: Database, embedder: Embedder | None) -> None:
        self._folder = folder
        self._database = database
        self._embedder = embedder
        self._built: cache.Built | None = None
        self._unsaved = False

    @staticmethod
    def create(
        folder: Picture,
        *,
        fingerprint: str,
        dimension: int,
        purpose: str = "",
        run: str = "",
        keep_days: int | None = None,
    ) -> None:
        """Make an empty gallery for vectors of `dimension` from the model of `fingerprint`.

        `purpose` and `run` are kept for people to read. A search never returns a picture that was
        added more than `keep_days` ago. `UsageError` when `folder` has a gallery already.
        """
        if dimension < 1 or (keep_days is not None and keep_days < 1):
            raise UsageError("a gallery needs a dimension, and keep_days if given, of at least 1")
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        meta = Meta(
            fingerprint=fingerprint,
            dimension=dimension,
            purpose=purpose,
            run=run,
            keep_days=keep_days,
            created=created,
        )
        Database.create(Path(folder), meta)

    @classmethod
    def open(cls, folder: Picture, embedder: Embedder | None = None) -> "Gallery":
        """Open a gallery; with an embedder, pictures can be added and searched for.

        `MismatchError` when the gallery was made by another model; `DamagedError`, `DiskError`,
        `LockedError`; `UsageError` when there is no gallery.
        """
        folder = Path(folder)
        database = Database.open(folder)
        gallery = cls(folder, database, embedder)
        try:
            storage.sweep(folder)
            if embedder is not None:
                _check_model(folder, gallery._meta(), embedder)
        except BaseException:
            database.close()
            raise
        return gallery

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write the index cache if a search built it anew; failing to is a warning, no error."""
        self._database.close()
        if self._built is not None and self._unsaved:
            try:
                cache.write(self._folder, self._built)
            except DiskError as error:
                warnings.warn(f"the index will be built again: {error}", stacklevel=2)
        self._unsaved = False

    def __len__(self) -> int:
        return self._meta().rows

    def add(
        self,
        pictures: Sequence[Picture],
        persons: Sequence[str],
        cameras: Sequence[int],
        progress: Progress = silent,
    ) -> int:
        """Embed and store pictures, all or none; returns how many were new.

        A picture (by its content) that is there already for the same person and camera is skipped,
        so that an interrupted `add` can simply be repeated. `progress` is told the number of
        pictures just finished. `DataError` names all pictures that cannot be read.
        """
        embedder = self._needed_embedder()
        _check_lengths(len(pictures), persons=persons, cameras=cameras)
        digests, names = hashes(pictures), [person_name(person) for person in persons]
        with self._database.transaction():
            known = self._database.known()
        keys = zip(digests, names, cameras, strict=True)
        new = [number for number, key in enumerate(keys) if key not in known]
        vectors = embed(embedder, [Path(pictures[number]) for number in new], progress)
        return self.add_vectors(
            vectors,
            [names[number] for number in new],
            [cameras[number] for number in new],
            [pictures[number] for number in new],
            [digests[number] for number in new],
        )

    def add_vectors(
        self,
        vectors: ArrayLike,
        persons: Sequence[str],
        cameras: Sequence[int],
        sources: Sequence[Picture],
        source_hashes: Sequence[bytes],
    ) -> int:
        """Store vectors (N, D), brought to unit length, all or none; returns how many were new.

        `source_hashes` are SHA-256 digests of the pictures; see `add` for what is new.
        """
        rows = fitting_rows(vectors, self._meta().dimension).astype("<f4", copy=False)
        _check_lengths(
            len(rows), persons=persons, cameras=cameras, sources=sources, hashes=source_hashes
        )
        columns = zip(persons, cameras, sources, source_hashes, rows, strict=True)
        return self._database.add(
            [
                Entry(person_name(p), camera_number(c), os.fsencode(source), digest, row.tobytes())
                for p, c, source, digest, row in columns
            ]
        )

    def search(
        self, query: Picture | ArrayLike, k: int = 10, other_cameras_than: int | None = None
    ) -> list[Hit]:
        """The `k` best pictures of the gallery for a picture or a vector (D,), best first.

        Fewer than `k` come back only when there are not so many: `len(gallery)` in all, less
        those seen by camera `other_cameras_than`, and those that have expired.
        """
        if k < 1:
            raise UsageError(f"k is {k}: ask for at least 1 hit")
        vector = self._vector(query)
        with self._database.transaction():
            meta = self._database.meta()
            if not meta.rows:
                raise UsageError(f"the gallery {self._folder} is empty: add pictures first")
            try:
                return self._ranked(self._index(meta), vector, k, other_cameras_than)
            except DamagedError:  # of a row, or of an index of other rows: building it anew tells
                self._built = self._build(meta)
                return self._ranked(self._built.index, vector, k, other_cameras_than)

    def stats(self) -> Stats:
        """The gallery in figures."""
        with self._database.transaction():
            meta = self._database.meta()
            persons, cameras = self._database.persons_and_cameras()
        state, seconds = cache.state(self._folder, meta)
        return Stats(
            rows=meta.rows,
            persons=persons,
            cameras=cameras,
            dimension=meta.dimension,
            fingerprint=meta.fingerprint,
            generation=meta.generation,
            schema=meta.schema,
            created=meta.created,
            purpose=meta.purpose,
            run=meta.run,
            keep_days=meta.keep_days,
            bytes=sum(path.stat().st_size for path in self._folder.glob("[!.]*")),
            cache=state,
            rebuild_seconds=seconds,
        )

    def verify(self) -> int:
        """Read everything and check every checksum; returns the number of rows.

        `DamagedError` names what is damaged.
        """
        return self._database.verify()

    def _ranked(self, index: ExactIndex, vector: Vectors, k: int, camera: int | None) -> list[Hit]:
        """The `k` best rows that are not withheld, each read from the database."""
        now = int(time.time())
        scores, numbers = index.search(vector, k + self._database.withheld(camera, now))
        hits: list[Hit] = []
        for score, number in zip(scores[0].tolist(), numbers[0].tolist(), strict=True):
            row = self._database.row(number)
            if row.camera != camera and (row.expiry is None or row.expiry > now):
                source = os.fsdecode(row.source)
                hits.append(Hit(row.row_id, row.person, row.camera, source, score))
            if len(hits) == k:
                break
        return hits

    def _index(self, meta: Meta) -> ExactIndex:
        """The index of the state `meta`: the one at hand, the cached one, or a new one."""
        if self._built is None or self._built.stamp != cache.stamp(meta):
            self._built = cache.read(self._folder, meta) or self._build(meta)
        return self._built.index

    def _build(self, meta: Meta) -> cache.Built:
        start = time.perf_counter()
        numbers = np.empty(meta.rows, np.int64)
        vectors = np.empty((meta.rows, meta.dimension), np.float32)
        for place, row in enumerate(self._database.rows()):
            numbers[place] = row.row_id
            vectors[place] = np.frombuffer(row.vector, "<f4")
        index = ExactIndex(meta.dimension)
        index.add(numbers, vectors)
        self._unsaved = True
        return cache.Built(index, cache.stamp(meta), time.perf_counter() - start)

    def _vector(self, query: Picture | ArrayLike) -> Vectors:
        """The query as one unit row (1, D)."""
        if isinstance(query, str | os.PathLike):
            rows = self._needed_embedder()([Path(query)])
        else:
            rows = np.asarray(query)[None]
        return fitting_rows(rows, self._meta().dimension)

    def _meta(self) -> Meta:
        with self._database.transaction():
            return self._database.meta()

    def _needed_embedder(self) -> Embedder:
        if self._embedder is None:
            raise UsageError(
                f"the gallery {self._folder} was opened without a model and takes vectors only: "
                "open it with embedder=Embedder(RUN)"
            )
        return self._embedder


def _check_model(folder: Path, meta: Meta, embedder: Embedder) -> None:
    theirs, ours = (meta.fingerprint, meta.dimension), (embedder.fingerprint, embedder.dimension)
    if theirs != ours:
        raise MismatchError(
            f"the gallery {folder} was made by the model {theirs[0]} (dimension {theirs[1]}), and "
            f"this is {ours[0]} (dimension {ours[1]}), so their vectors cannot be compared: use "
            f"the run it was made with ({meta.run or 'not recorded'}), or make a new gallery"
        )


def _check_lengths(pictures: int, **columns: Sized) -> None:
    for name, column in columns.items():
        if len(column) != pictures:
            raise UsageError(
                f"{pictures} pictures were given with {len(column)} {name}: give one for each"
            )
