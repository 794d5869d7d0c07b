"""What every index does."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from numpy.typing import ArrayLike, NDArray

from ..errors import DamagedError, UsageError
from .blocks import pieces, read
from .checks import Ids, Stored, Vectors
from .library import check_faiss

AnIndex = TypeVar("AnIndex", bound="Index")


class Index(ABC):
    """Unit vectors of one dimension under unique ids, and the search for the nearest of them."""

    kind: ClassVar[str]

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise UsageError(f"an index needs at least one dimension, not {dimension}")
        check_faiss()
        self.dimension = dimension

    @abstractmethod
    def __len__(self) -> int:
        """The number N of vectors."""

    @property
    @abstractmethod
    def ids(self) -> Ids:
        """The ids (N,) in the order of the vectors."""

    @abstractmethod
    def add(self, ids: ArrayLike, features: ArrayLike) -> None:
        """Add vectors (N, D), float32 of unit length, under new ids (N,), integers from 0.

        `DataError` refuses them all when one is not finite, not of unit length or of another
        dimension, or when an id is there already.
        """

    @abstractmethod
    def remove(self, ids: ArrayLike) -> None:
        """Remove the vectors of `ids` (N,); `DataError` when one is not there, and nothing goes.

        Nothing of them is left in what `contents` gives.
        """

    @abstractmethod
    def search(
        self, queries: ArrayLike, k: int, keep: ArrayLike | None = None
    ) -> tuple[Vectors, Ids]:
        """The most similar vectors of each query (Q, D): scores and ids, both (Q, min(k, N)).

        Rows are sorted by descending cosine similarity, then by id. Queries are held to the rules
        of `add`. `keep` says which vectors may be found, by their ids in any order, or by a mask
        in the order of `ids`; N is then their number.
        """

    @abstractmethod
    def contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts (JSON) and arrays from which `restore` makes the index again."""

    @classmethod
    @abstractmethod
    def restore(
        cls: type[AnIndex], facts: Mapping[str, Any], arrays: Mapping[str, Stored]
    ) -> AnIndex:
        """The index of `contents`; an array may be read, and found damaged, as late as a search."""

    def to_bytes(self) -> bytes:
        """The index with checksums over everything."""
        facts, arrays = self.contents()
        return b"".join(pieces({"kind": self.kind, "index": facts}, arrays))

    @classmethod
    def from_bytes(cls: type[AnIndex], data: bytes) -> AnIndex:
        """The index of `to_bytes`; `DamagedError` for anything else."""
        facts, arrays = read(io.BytesIO(data))
        if facts["kind"] != cls.kind:
            raise DamagedError(f"the index is of the kind {facts['kind']}, not {cls.kind}")
        return cls.restore(facts["index"], {name: array[:] for name, array in arrays.items()})
