"""The only writer of files.

A file appears whole or not at all: temporary name in the same folder, write, length check, fsync,
rename, fsync of the folder. Several files that belong together form a *generation*: a folder with a
manifest of lengths and SHA-256 sums, made current by one atomic pointer, `CURRENT`.

A folder may come from anywhere. What is written in place is therefore never a symbolic link, which
may lead to any file of the user.
"""

from .files import (
    append_after,
    append_line,
    json_text,
    read_bytes,
    read_json,
    remove,
    sha256,
    try_out,
    write_bytes,
    write_json,
    write_pieces,
    write_text,
)
from .folders import LOCK, locked, make_folder, new_folder, target_folder
from .generations import (
    MANIFEST,
    POINTER,
    SCHEMA,
    current_generation,
    drop_generations,
    generations,
    point_to,
    read_generation,
    sweep,
    write_generation,
)

__all__ = [
    "LOCK",
    "MANIFEST",
    "POINTER",
    "SCHEMA",
    "append_after",
    "append_line",
    "current_generation",
    "drop_generations",
    "generations",
    "json_text",
    "locked",
    "make_folder",
    "new_folder",
    "point_to",
    "read_bytes",
    "read_generation",
    "read_json",
    "remove",
    "sha256",
    "sweep",
    "target_folder",
    "try_out",
    "write_bytes",
    "write_generation",
    "write_json",
    "write_pieces",
    "write_text",
]
