"""The gallery as a user sees it: pictures in, ranked hits out, and people forgotten."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from ..errors import DamagedError, MismatchError, UsageError, refuse_single
from . import adding, calibration, corrections, identifying, linking, places, privacy, reembedding
from .adding import check_lengths
from .audit import ACKNOWLEDGE, acknowledged
from .contract import Correction, Embedder, Found, Store, Vectors, fitting_rows
from .filters import LIVE, Moment, Where, seconds
from .identifying import Identity
from .linking import Group
from .pictures import Progress, silent
from .queries import Query, Source, own_row, query_vectors
from .ranking import ranked
from .record import (
    LAST_MOMENT,
    MOST_DAYS,
    Attributes,
    Calibration,
    Meta,
    Row,
    camera_number,
    person_name,
)
from .results import Answer, Grouping, Hit, Stats, figures
from .sightings import Sighting

KEEP_DAYS = 30


class Gallery:
    """People seen before, in a store.

    A change is done when the call returns, and then survives the end of the process at any moment.
    Several processes may add and search at once. Open one gallery per process and thread.
    """

    def __init__(self, store: Store, embedder: Embedder | None = None) -> None:
        self.store = store
        self._embedder = embedder

    @staticmethod
    def create(
        folder: Source,
        *,
        fingerprint: str,
        dimension: int,
        purpose: str = "",
        controller: str = "",
        run: str = "",
        keep_days: int | None = KEEP_DAYS,
        until: Moment | None = None,
        pictures: bool = True,
    ) -> None:
        """Make an empty gallery for vectors of `dimension` from the model of `fingerprint`.

        `purpose`, `controller` and `run` are kept for people to read. A search never returns a
        picture that was added more than `keep_days` ago (`None`: any number), nor one after
        `until`. With `pictures` a thumbnail of each is kept. `UsageError` when there is a gallery
        already.
        """
        if dimension < 1:
            raise UsageError(f"a gallery needs a dimension of at least 1, not {dimension}")
        if keep_days is not None and not 1 <= keep_days <= MOST_DAYS:
            raise UsageError(
                f"pictures cannot be kept for {keep_days:,} days: give 1 to {MOST_DAYS:,}, or no "
                "limit (None; --keep-days forever)"
            )
        end = seconds(until)
        if end is not None and not 0 <= end <= LAST_MOMENT:
            raise UsageError(f"a gallery cannot end at {until!r}: give a moment from 1970 to 9999")
        meta = Meta(
            fingerprint=fingerprint,
            dimension=dimension,
            purpose=purpose,
            controller=controller,
            run=run,
            keep_days=keep_days,
            until=None if end is None else int(end),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            pictures=pictures,
            salt=secrets.token_hex(16),
        )
        places.create(folder, meta)

    @classmethod
    def open(cls, place: Source, embedder: Embedder | None = None) -> "Gallery":
        """Open a gallery; with an embedder, pictures can be added and searched for.

        `MismatchError` when the gallery was made by another model; `DamagedError`, `DiskError`,
        `LockedError`; `UsageError` when there is no gallery.
        """
        gallery = cls(places.open_store(place), embedder)
        try:
            if embedder is not None:
                _check_model(gallery.store.place, gallery.store.meta(), embedder)
        except BaseException:
            gallery.close()
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
        """Let go of the store; one that keeps an index beside its rows may write it now."""
        self.store.close()

    def __len__(self) -> int:
        return self.store.meta().rows

    # Adding ------------------------------------------------------------------------------------

    def add(
        self,
        pictures: Sequence[Source],
        persons: Sequence[str | None],
        cameras: Sequence[int],
        progress: Progress = silent,
    ) -> int:
        """Embed and store pictures; returns how many were new. See `add_sightings`."""
        refuse_single(pictures=pictures)
        check_lengths(len(pictures), persons=persons, cameras=cameras)
        return self.add_sightings(
            [
                Sighting(picture=Path(picture), person=person, camera=camera)
                for picture, person, camera in zip(pictures, persons, cameras, strict=True)
            ],
            progress,
        )

    def add_sightings(self, sightings: Sequence[Sighting], progress: Progress = silent) -> int:
        """Embed and store pictures with what is known of them; returns how many were new.

        What is there already (the same content and box, person, camera, time and track) is
        skipped, so that an interrupted call can simply be repeated. 1,024 pictures at a time
        are kept or not together; a part with a bad picture is not, and `DataError` names all of
        them at the end. `progress` is told the number of pictures just finished.
        """
        return adding.add_sightings(self.store, self._needed_embedder(), sightings, progress)

    def add_vectors(
        self,
        vectors: ArrayLike,
        persons: Sequence[str | None],
        cameras: Sequence[int],
        sources: Sequence[Source],
        source_hashes: Sequence[bytes],
        *,
        times: Sequence[Moment | None] | None = None,
        tracks: Sequence[str] | None = None,
        attributes: Sequence[Attributes] | None = None,
    ) -> int:
        """Store vectors (N, D), brought to unit length, all or none; returns how many were new.

        `source_hashes` are SHA-256 digests of the pictures; see `add_sightings` for what is new.
        """
        rows = fitting_rows(vectors, self.store.meta().dimension)
        entries = adding.vector_entries(
            rows,
            persons,
            cameras,
            sources,
            source_hashes,
            [None] * len(rows) if times is None else times,
            [""] * len(rows) if tracks is None else tracks,
            [{}] * len(rows) if attributes is None else attributes,
        )
        return self.store.add(entries)

    # Searching ---------------------------------------------------------------------------------

    def search(
        self,
        query: Query,
        k: int = 10,
        other_cameras_than: int | None = None,
        *,
        where: Where = LIVE,
        group: Grouping = "picture",
        rerank: bool = False,
    ) -> Answer:
        """The `k` best pictures of the gallery for a query, best first.

        Several pictures of one person are searched for as one: by the mean of their unit vectors.
        `where` (`gallery.where(...)`) says which rows are meant; with a `group`, each hit is the
        best of its person or track. Fewer than `k` come back only when there are not so many.
        `rerank` puts the best hits into the order of k-reciprocal re-ranking.
        """
        other = None if other_cameras_than is None else [other_cameras_than]
        return self.search_all([query], k, other, where=where, group=group, rerank=rerank)[0]

    def search_all(
        self,
        queries: Sequence[Query],
        k: int = 10,
        other_cameras_than: Sequence[int] | None = None,
        *,
        where: Where = LIVE,
        group: Grouping = "picture",
        rerank: bool = False,
    ) -> list[Answer]:
        """As `search` for each query, with `other_cameras_than` one camera for each."""
        refuse_single(queries=queries)
        if k < 1:
            raise UsageError(f"k is {k}: ask for at least 1 hit")
        meta = self.store.meta()
        vectors = query_vectors(self.store, queries, meta.dimension, self._needed_embedder)
        if not meta.rows:
            raise UsageError(f"the gallery {self.store.place} is empty: add pictures first")
        cameras: Sequence[int | None] = other_cameras_than or [None] * len(queries)
        check_lengths(len(queries), cameras=cameras)
        meant = [
            _without(where, camera, own_row(q)) for q, camera in zip(queries, cameras, strict=True)
        ]
        found = ranked(self.store, vectors, k, meant, group, rerank)
        self._record_search(vectors, k, found)
        measured = Calibration.of(meta.calibration)
        return [_answer(hits, measured) for hits in found]

    def calibrate(self, false_match_rate: float = 0.01) -> Calibration:
        """Measure from which score on a person counts as known; see `calibration.py`."""
        return calibration.calibrate(self.store, false_match_rate)

    # Who is who --------------------------------------------------------------------------------

    def identify(
        self,
        sightings: Sequence[Sighting] | None = None,
        *,
        threshold: float | None = None,
        once_per_camera: bool = False,
        dry_run: bool = False,
        progress: Progress = silent,
    ) -> list[Identity]:
        """Say of each track of nobody known who it shows: somebody known, or a new person.

        Of `sightings`, which are added, or of all that is there. `threshold`: from which cosine on
        two are one; the calibrated one if not given. No person is at two places at one time, nor
        with `once_per_camera` twice at one camera. See `identifying.py`.
        """
        return identifying.identify(
            self.store,
            self._needed_embedder,
            sightings,
            threshold,
            once_per_camera,
            dry_run,
            progress,
        )

    def link(
        self,
        *,
        threshold: float | None = None,
        where: Where = LIVE,
        once_per_camera: bool = False,
        apply: bool = False,
    ) -> list[Group]:
        """Groups of tracks of nobody known that show one person; see `linking.py`.

        Nothing is changed unless `apply` makes each group a new person.
        """
        return linking.link(self.store, threshold, where, once_per_camera, apply)

    def merge(self, person: str, *others: str) -> int:
        """Let all rows of `others` show `person`; returns how many rows."""
        return corrections.merge(self.store, person, others)

    def split(
        self,
        person: str,
        *,
        rows: Iterable[int] = (),
        tracks: Iterable[tuple[int, str]] = (),
        to: str | None = None,
    ) -> str:
        """Let some rows, or tracks (camera, number), of `person` show `to`, or somebody new.

        Returns the key of who they show.
        """
        return corrections.split(self.store, person, rows, tracks, to)

    def rename(self, person: str, name: str) -> int:
        """Give a person another name; the key stays. Returns how many rows changed."""
        return corrections.give_name(self.store, person, name)

    def undo(self, number: int | None = None) -> Correction:
        """Take back a correction of who is who, by default the newest; returns it."""
        return corrections.undo(self.store, number)

    def undoable(self) -> list[Correction]:
        """The corrections that have not been undone, newest first."""
        return corrections.undoable(self.store)

    # Care --------------------------------------------------------------------------------------

    def reembed(
        self,
        embedder: Embedder,
        run: str = "",
        *,
        drop_lost: bool = False,
        progress: Progress = silent,
    ) -> dict[str, Any]:
        """Make every vector anew with another model, which is then the gallery's.

        All take their place at once; until then the old ones are valid, and what was interrupted
        goes on where it was. Returns how many are of `sources` and of `thumbnails`, and the rows
        `lost`, without either; `DataError` for such unless `drop_lost` gives them up.
        """
        found = reembedding.reembed(self.store, embedder, run, drop_lost, progress)
        self._embedder = embedder
        return found

    def rows(self, where: Where = LIVE) -> list[Row]:
        """The rows that are meant, by number."""
        return self.store.rows(where)

    def remove(self, rows: Sequence[int]) -> int:
        """Delete rows by number; returns how many. Use `forget` for a proof that they are gone."""
        return self.store.remove(rows)

    def forget(self, person: str, receipt: Source | None = None) -> dict[str, Any]:
        """Delete a person beyond recovery; returns the receipt, which is also written to a file."""
        return privacy.forget(self.store, person_name(person), receipt)

    def expire(self, receipt: Source | None = None) -> dict[str, Any]:
        """Delete what has expired as `forget` does; their sources may come back."""
        return privacy.expire(self.store, receipt)

    def export(self, person: str, folder: Source) -> dict[str, Any]:
        """Everything that is kept of a person, as files in a new folder."""
        return privacy.export(self.store, person_name(person), Path(folder))

    def backup(self, folder: Source) -> None:
        """A copy as of now, read back and verified, in a folder that must not exist."""
        self.store.backup(Path(folder))

    def verify(self) -> int:
        """Read everything and check every checksum; returns the number of rows.

        `DamagedError` names each thing that is damaged.
        """
        problems = self.store.verify()
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            lost = "; lines that only the audit log lacks can be acknowledged (--acknowledge)"
            raise DamagedError(
                f"{self.store.place} is damaged in {len(problems)} places; bring it back from a "
                "backup, or make it again from its pictures"
                f"{lost if self.store.gaps() else ''}:{listed}"
            )
        return len(self)

    def acknowledge(self) -> int:
        """Record that the lines which the audit log lacks are lost, as after a power cut.

        `verify` then tells of them in `gaps`, and no longer as damage. Returns how many gaps;
        `UsageError` when there is none.
        """
        missing = self.store.gaps()
        if not missing:
            raise UsageError(f"the audit log of {self.store.place} lacks no lines: leave this out")
        self.store.record(ACKNOWLEDGE, {"missing": missing})
        return len(missing)

    def gaps(self) -> list[str]:
        """A sentence for each gap of the audit log that was acknowledged."""
        return list(acknowledged(self.store.history()).values())

    def audit_head(self) -> str:
        """The hash of the audit log's last line, to be kept elsewhere; empty without a log."""
        last = ""
        for line in self.store.history():
            last = line["hash"]
        return last

    def stats(self) -> Stats:
        """The gallery in figures."""
        return figures(self.store)

    def _record_search(self, vectors: Vectors, k: int, found: Sequence[Sequence[Found]]) -> None:
        answers = [
            {"query": sha256(vector.tobytes()).hexdigest(), "rows": [hit.row.row for hit in hits]}
            for vector, hits in zip(vectors, found, strict=True)
        ]
        self.store.record("search", {"k": k, "answers": answers})

    def _needed_embedder(self) -> Embedder:
        if self._embedder is None:
            raise UsageError(
                f"the gallery {self.store.place} was opened without a model and takes vectors "
                "only: open it with embedder=Embedder(RUN)"
            )
        _check_model(self.store.place, self.store.meta(), self._embedder)  # see `reembed`
        return self._embedder


def _without(where: Where, camera: int | None, row: int | None) -> Where:
    cameras = frozenset() if camera is None else frozenset([camera_number(camera)])
    rows = frozenset() if row is None else frozenset([row])
    return replace(
        where,
        other_cameras_than=where.other_cameras_than | cameras,
        other_rows_than=where.other_rows_than | rows,
    )


def _answer(hits: Sequence[Found], measured: Calibration | None) -> Answer:
    best = max((hit.score for hit in hits), default=None)
    return Answer(tuple(Hit.of(hit.row, hit.score) for hit in hits), measured, best)


def _check_model(place: str, meta: Meta, embedder: Embedder) -> None:
    theirs, ours = (meta.fingerprint, meta.dimension), (embedder.fingerprint, embedder.dimension)
    if theirs != ours:
        raise MismatchError(
            f"the gallery {place} was made by the model {theirs[0]} (dimension {theirs[1]}), and "
            f"this is {ours[0]} (dimension {ours[1]}), so their vectors cannot be compared: use "
            f"the run it was made with ({meta.run or 'not recorded'}), or make a new gallery"
        )
