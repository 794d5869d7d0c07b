"""The collection of rows: read in parts, verified, written in parts."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from ...errors import UsageError
from ..contract import Vectors
from ..record import Row
from . import fields
from .link import Link, Record

T = TypeVar("T")

_PART = 1024
_WINDOW = 100_000  # rows of which small fields are asked for together


class Rows:
    """The rows of one gallery, those too that are not valid yet."""

    def __init__(self, link: Link, dimension: int, pictures: bool) -> None:
        self.link = link
        self.place = str(link.address)
        self._collection = link.address.name
        self._dimension = dimension
        self._size = fields.size_of(dimension, pictures)

    def insert(self, records: Sequence[Record], alive: Callable[[], None]) -> None:
        """Write rows with new numbers, calling `alive` before each part."""
        for start in range(0, len(records), _PART):
            alive()
            self.link.insert(self._collection, records[start : start + _PART], self._size)

    def replace(self, records: Sequence[Record], alive: Callable[[], None]) -> None:
        """Write rows in the place of those with their numbers."""
        for start in range(0, len(records), _PART):
            alive()
            self.link.upsert(self._collection, records[start : start + _PART], self._size)

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete rows; one that is not there is no error."""
        self.link.delete(self._collection, "row", numbers)

    def numbers(self, expression: str) -> list[int]:
        """The numbers of the rows that fulfil `expression`, ascending."""
        return fields.numbers(self.link.query(self._collection, expression, ["row"]))

    def newest_of_each(self, expression: str) -> list[int]:
        """Of the rows that fulfil `expression`, the last number of each person."""
        found = self.link.query(self._collection, expression, ["row", "person"])
        newest: dict[str, int] = {}
        for record in found:
            newest[record["person"]] = max(record["row"], newest.get(record["person"], 0))
        return sorted(newest.values())

    def small(self, last: int, wanted: Sequence[str]) -> Iterator[Record]:
        """Fields of a few bytes, of all rows up to `last`."""
        for start in range(0, last, _WINDOW):
            end = min(start + _WINDOW, last)
            expression = f"row > {start} and row <= {end}"
            yield from self.link.query(self._collection, expression, wanted)

    def get(self, numbers: Sequence[int]) -> list[Row]:
        """Rows by number, in the order asked for; `UsageError` for one that is not there."""
        found = {row.row: row for _, row in self._read(numbers, fields.PLAIN, 2_000)}
        return self._ordered(numbers, found)

    def vectors(self, numbers: Sequence[int]) -> Vectors:
        """(N, D) float32, in the order asked for."""
        found = self.with_vectors(numbers)
        rows = np.empty((len(numbers), self._dimension), np.float32)
        for place, (_, vector) in enumerate(self._ordered(numbers, found)):
            rows[place] = np.frombuffer(vector, "<f4")
        return rows

    def with_vectors(self, numbers: Sequence[int]) -> dict[int, tuple[Row, bytes]]:
        """Rows that are there, each with its vector."""
        size = fields.size_of(self._dimension, False)
        read = self._read(numbers, fields.VECTOR, size)
        return {row.row: (row, fields.vector(record, row, self.place)) for record, row in read}

    def thumbnails(self, numbers: Sequence[int]) -> list[bytes | None]:
        """JPEG files, in the order asked for."""
        read = self._read(numbers, fields.THUMBNAIL, self._size)
        found = {row.row: (fields.thumbnail(record, row, self.place),) for record, row in read}
        return [picture for (picture,) in self._ordered(numbers, found)]

    def whole(self, numbers: Sequence[int]) -> Iterator[tuple[Record, Row]]:
        """Rows that are there, with all that is needed to write them again."""
        return self._read(numbers, fields.ALL, self._size)

    def search(
        self, queries: Vectors, limit: int, expression: str
    ) -> list[list[tuple[int, float]]]:
        """See `Link.search`."""
        return self.link.search(self._collection, "vector", queries, limit, expression)

    def known(self, keys: Sequence[bytes], last: int, now: int) -> set[bytes]:
        """Those of `keys` that rows up to `last` have which have not expired."""
        texts = [key.hex() for key in keys]
        wanted = ("row", "key", "expiry")
        found = self.link.get(self._collection, "key", texts, wanted, 200)
        return {
            bytes.fromhex(record["key"])
            for record in found
            if record["row"] <= last and record["expiry"] > now
        }

    def raw(self, numbers: Sequence[int]) -> Iterator[Record]:
        """Records that are there, with every field, not verified."""
        wanted = (*fields.ALL, *fields.FILTERS)
        return self.link.get(self._collection, "row", numbers, wanted, self._size)

    def count(self, numbers: Sequence[int]) -> int:
        """How many of these rows are there."""
        return len(list(self.link.get(self._collection, "row", numbers, ["row"], 8)))

    def _read(
        self, numbers: Sequence[int], wanted: Sequence[str], size: int
    ) -> Iterator[tuple[Record, Row]]:
        for record in self.link.get(self._collection, "row", numbers, wanted, size):
            yield record, fields.decode(record, self.place)

    def _ordered(self, numbers: Sequence[int], found: dict[int, T]) -> list[T]:
        for number in numbers:
            if number not in found:
                raise UsageError(f"row {number} is not in the gallery {self.place}")
        return [found[number] for number in numbers]
