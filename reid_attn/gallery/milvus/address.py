"""Where a gallery in Milvus is: `milvus:http://HOST:PORT/NAME`, or `milvus:FOLDER.db/NAME`."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError

PREFIX = "milvus:"
TOKEN = "REID_ATTN_MILVUS_TOKEN"  # noqa: S105
"""The environment variable with `user:password` or an access token, which no address holds."""

_SERVER = re.compile(r"https?://[^/@\s]+")
_NAME = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)


class Address(NamedTuple):
    """What reaches a gallery."""

    uri: str
    """Of the server, or the folder of Milvus Lite."""
    name: str
    """Of the collection that holds the rows; what else belongs to it begins with this name."""

    def __str__(self) -> str:
        return f"{PREFIX}{self.uri}/{self.name}"

    @property
    def folder(self) -> Path | None:
        """Of Milvus Lite; `None` for a server."""
        return None if _SERVER.fullmatch(self.uri) else Path(self.uri)


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether `place` is a gallery in Milvus and not a folder of the gallery's own."""
    return os.fspath(place).startswith(PREFIX)


def parse(text: str) -> Address:
    """The address in `text`; `UsageError` for anything else."""
    uri, _, name = text.removeprefix(PREFIX).rpartition("/")
    if "@" in uri and "://" in uri:
        raise UsageError(
            "the address of a Milvus server must not hold a name or password, since it is shown "
            f"and recorded: put USER:PASSWORD into the environment variable {TOKEN}"
        )
    if not (_SERVER.fullmatch(uri) or uri.endswith(".db")) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{text!r} is not the address of a gallery in Milvus: use milvus:http://HOST:19530/NAME"
            " or milvus:FOLDER.db/NAME, with a name of letters, digits and underscores"
        )
    return Address(uri, name)
