"""The only way to Milvus: its client, with a limit of time on every call, and what errors mean."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ... import storage
from ...errors import DiskError, LockedError, MismatchError, MissingExtra, UsageError
from ..contract import Vectors
from .address import TOKEN, Address

CONNECT_SECONDS = 10
SECONDS = 60  # for one call
BYTES = 8 * 2**20  # sent or asked for in one call; servers take 64 MiB
IDS = 1000  # named in one call
LITE_IDS = 10_000
"""The same in Milvus Lite, which goes through all records, vectors too, at each call."""
MANY = 500
"""Rows after which Milvus Lite is asked to flush: it looks through others one by one."""
OLDEST = (2, 3)
"""The first version with arrays and upserts."""

Record = dict[str, Any]
"""One record of a collection, by field."""


class Link:
    """A connection to one server, or the only one to a folder of Milvus Lite."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._ids = IDS if address.folder is None else LITE_IDS
        self._held = ExitStack()
        try:
            self.client = self._connected()
            self.version = self._checked_version()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the server, and of the folder; a second call does nothing."""
        self._held.close()

    def collections(self) -> list[str]:
        """The names of all collections."""
        with self.explained():
            return list(self.client.list_collections(timeout=SECONDS))

    def load(self, collection: str) -> None:
        """Make a collection ready to be read."""
        with self.explained():
            self.client.load_collection(collection, timeout=SECONDS)

    def drop(self, collection: str) -> None:
        """Delete a collection; one that is not there is no error."""
        with self.explained():
            self.client.drop_collection(collection, timeout=SECONDS)

    def insert(self, collection: str, records: Sequence[Record], size: int) -> None:
        """Write records of about `size` bytes whose ids are new."""
        for part in _parts(records, max(1, min(self._ids, BYTES // size))):
            with self.explained():
                self.client.insert(collection, part, timeout=SECONDS)
        if self.address.folder is not None and len(records) >= MANY:
            with self.explained():
                self.client.flush(collection, timeout=SECONDS)

    def upsert(self, collection: str, records: Iterable[Record], size: int) -> None:
        """Write records of about `size` bytes, in the place of any with the same id."""
        for part in _parts(list(records), max(1, min(self._ids, BYTES // size))):
            with self.explained():
                self.client.upsert(collection, part, timeout=SECONDS)

    def delete(self, collection: str, field: str, ids: Sequence[Any]) -> None:
        """Delete records by id; one that is not there is no error."""
        for part in _parts(ids, self._ids):
            with self.explained():
                self.client.delete(collection, filter=among(field, part), timeout=SECONDS)

    def get(
        self, collection: str, field: str, ids: Sequence[Any], wanted: Sequence[str], size: int
    ) -> Iterator[Record]:
        """Those of the records of about `size` bytes that are there, by id, in any order."""
        for part in _parts(list(dict.fromkeys(ids)), max(1, min(self._ids, BYTES // size))):
            yield from self.query(collection, among(field, part), wanted)

    def query(self, collection: str, expression: str, wanted: Sequence[str]) -> list[Record]:
        """The fields `wanted` of every record that fulfils `expression`, in any order."""
        with self.explained():
            return list(
                self.client.query(
                    collection,
                    filter=expression,
                    output_fields=list(wanted),
                    consistency_level="Strong",
                    timeout=SECONDS,
                )
            )

    def search(
        self, collection: str, field: str, queries: Vectors, limit: int, expression: str
    ) -> list[list[tuple[int, float]]]:
        """For each query, ids and inner products of the best records, best first."""
        with self.explained():
            found = self.client.search(
                collection,
                data=list(queries),
                anns_field=field,
                limit=limit,
                filter=expression,
                consistency_level="Strong",
                timeout=SECONDS,
            )
        return [[(hit.id, hit.distance) for hit in hits] for hits in found]

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of the client as errors of the project."""
        from grpc import FutureTimeoutError, RpcError
        from pymilvus import MilvusException

        try:
            yield
        except (MilvusException, RpcError, FutureTimeoutError) as error:
            raise self._meaning(getattr(error, "message", "") or str(error)) from error

    def _connected(self) -> Any:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise MissingExtra("pymilvus", "milvus") from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it also raises
        if self.address.folder is not None:
            self._hold_folder()
        with self.explained():
            client = MilvusClient(
                self.address.uri,
                token=os.environ.get(TOKEN, ""),
                timeout=CONNECT_SECONDS,
                dedicated=True,
            )
        self._held.callback(client.close)
        return client

    def _hold_folder(self) -> None:
        """Keep every other process, and store, out of a folder of Milvus Lite until `close`."""
        try:
            from milvus_lite.server_manager import server_manager_instance
        except ImportError as error:
            raise MissingExtra("milvus-lite", "milvus") from error
        for name in ("milvus_lite", "grpc._server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        folder = self.address.folder
        if folder is None or folder.is_file():
            raise MismatchError(
                f"{folder} is a file of Milvus Lite 2, and Milvus Lite 3 keeps a folder: "
                "choose another name"
            )
        self._held.enter_context(storage.locked(folder))
        self._held.callback(server_manager_instance.release_server, str(folder))

    def _checked_version(self) -> str:
        with self.explained():
            version = str(self.client.get_server_version(timeout=CONNECT_SECONDS))
        numbers = version.lstrip("v").split(".")
        if numbers[0].isdigit() and tuple(map(int, numbers[:2])) < OLDEST:
            raise MismatchError(
                f"the server {self.address.uri} is Milvus {version}, and a gallery needs 2.3 or "
                "newer: update the server"
            )
        return version

    def _meaning(self, text: str) -> DiskError | LockedError | UsageError:
        place = self.address.uri
        lower = text.lower()
        if "auth" in lower:
            return DiskError(
                f"the Milvus server {place} does not let you in: put USER:PASSWORD into the "
                f"environment variable {TOKEN}"
            )
        if "fail connecting" in lower or "unavailable" in lower or "deadline" in lower:
            return DiskError(
                f"the Milvus server {place} does not answer: check the address and whether it is "
                "running, then run the command again"
            )
        told = " ".join(text.split())[:300]
        return DiskError(f"Milvus at {place} refused ({told}): see to it, then run it again")


def among(field: str, values: Sequence[Any]) -> str:
    """The expression for `field` being one of `values`, numbers or plain texts."""
    listed = ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)
    return f"{field} in [{listed}]"


def one(records: Iterable[Mapping[str, Any]], field: str) -> list[Any]:
    """The values of one field."""
    return [record[field] for record in records]


def _parts(values: Sequence[Any], length: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), length):
        yield list(values[start : start + length])
