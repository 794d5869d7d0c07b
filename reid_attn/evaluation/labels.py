"""Who stands on the pictures and where they were taken, and with it what is good and what junk."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .junk import JUNK, JunkRule, same_camera
from .scores import Row, array

Integers = NDArray[np.int64]


class Labels:
    """Persons and cameras of both sides, checked, and the junk rule."""

    def __init__(
        self,
        query_ids: ArrayLike,
        query_cams: ArrayLike,
        gallery_ids: ArrayLike,
        gallery_cams: ArrayLike,
        rule: JunkRule | None,
    ) -> None:
        """`DataError` for what are no integers (N,), or not as many persons as cameras."""
        self.query_persons, self.query_cameras = _side("query", query_ids, query_cams)
        self.gallery_persons, self.gallery_cameras = _side("gallery", gallery_ids, gallery_cams)
        self._rule = rule or same_camera(self.query_cameras, self.gallery_cameras)
        self._by_person = np.argsort(self.gallery_persons, kind="stable")
        ordered = self.gallery_persons[self._by_person]
        self._start = ordered.searchsorted(self.query_persons, side="left").tolist()
        self._end = ordered.searchsorted(self.query_persons, side="right").tolist()
        self._nobody = np.flatnonzero(self.gallery_persons == JUNK)

    def refuse_misfit(self, query_features: ArrayLike, gallery_features: ArrayLike) -> None:
        """`DataError` when a side has another number of features than of labels."""
        for side, vectors, persons in (
            ("query", query_features, self.query_persons),
            ("gallery", gallery_features, self.gallery_persons),
        ):
            rows = len(array(f"{side}_features", vectors, 2, "floats"))
            if rows != len(persons):
                raise DataError(
                    f"{side}_features has {rows} rows, {side}_ids and {side}_cams {len(persons)}: "
                    "the three need the same number"
                )

    def matches(self, query: int) -> tuple[Integers, Integers]:
        """Gallery rows of the good and of the junk pictures, without a pass over the gallery."""
        if self.query_persons[query] == JUNK:
            return self._nobody[:0], self._nobody
        same = self._by_person[self._start[query] : self._end[query]]
        junk = self._rule(query, same)
        if junk.shape != same.shape or junk.dtype != np.bool_:
            raise DataError(
                f"the junk rule returned {junk.dtype} of shape {junk.shape} for {len(same)} "
                "pictures: return one boolean for each"
            )
        return same[~junk], np.concatenate((self._nobody, same[junk]))

    def walk(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Integers, Integers]]:
        """Each query's scores with junk at −inf, and its good and junk gallery rows."""
        for row in rows:
            good, junk = self.matches(row.query)
            row.scores[junk] = -np.inf
            yield row, good, junk

    def refuse_unmatched(self) -> None:
        """`DataError` when no query has a good picture, so that nothing could be measured."""
        if not any(len(self.matches(query)[0]) for query in range(len(self.query_persons))):
            raise self.no_valid_query()

    def no_valid_query(self) -> DataError:
        """Why nothing could be measured."""
        known = self.gallery_persons[self.gallery_persons != JUNK]
        present = np.isin(self.query_persons, known)
        lost = int(np.count_nonzero(present))
        return DataError(
            f"none of the {len(present)} queries has a match: {lost} have gallery pictures from "
            f"their own camera only, which the junk rule removes, and {len(present) - lost} have "
            "no picture in the gallery: add pictures of these persons from other cameras"
        )


def _side(name: str, ids: ArrayLike, cams: ArrayLike) -> tuple[Integers, Integers]:
    persons = array(f"{name}_ids", ids, 1, "integers").astype(np.int64)
    cameras = array(f"{name}_cams", cams, 1, "integers").astype(np.int64)
    if not len(persons) == len(cameras) > 0:
        raise DataError(
            f"{name}_ids has {len(persons)} entries and {name}_cams {len(cameras)}: the two need "
            "the same number, at least one"
        )
    return persons, cameras
