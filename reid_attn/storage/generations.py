"""Files that belong together: a folder with a manifest, made current by one atomic pointer."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DamagedError, DataError
from .files import read_bytes, read_json, remove, sha256, write_bytes, write_json
from .folders import make_folder, sweep_temporaries

POINTER = "CURRENT"
MANIFEST = "manifest.json"
SCHEMA = 1

_GENERATION = re.compile(r"gen-(?P<number>\d{6,})$", re.ASCII)
_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def write_generation(folder: Path, files: Mapping[str, bytes]) -> int:
    """Store `files` as the next generation of `folder` and make it current; returns its number."""
    number = max(generations(folder), default=0) + 1
    target = make_folder(_generation_folder(folder, number))
    for name, data in files.items():
        write_bytes(target / name, data)
    entries = {name: _entry(data) for name, data in files.items()}
    write_json(target / MANIFEST, {"schema": SCHEMA, "files": entries})
    read_generation(folder, number)
    point_to(folder, number)
    return number


def point_to(folder: Path, number: int, pointer: str = POINTER) -> None:
    """Make the file `pointer` name generation `number`."""
    manifest = read_bytes(_generation_folder(folder, number) / MANIFEST)
    write_json(folder / pointer, {"generation": number, "manifest_sha256": sha256(manifest)})


def current_generation(folder: Path, pointer: str = POINTER) -> int:
    """The number in the file `pointer`, after checking that generation's manifest against it."""
    target = read_json(folder / pointer)
    number = target.get("generation") if isinstance(target, dict) else None
    if type(number) is not int:
        raise DamagedError(f"{folder / pointer} does not name a generation")
    manifest = _generation_folder(folder, number) / MANIFEST
    if sha256(_part(manifest, folder, number)) != target.get("manifest_sha256"):
        raise DamagedError(
            f"{folder / pointer} and {manifest} do not agree: one of them is damaged."
            f"{_others(folder, number)}"
        )
    return number


def read_generation(folder: Path, number: int) -> dict[str, bytes]:
    """All files of one generation, each checked against the manifest's length and SHA-256."""
    source = _generation_folder(folder, number)
    files = {}
    for name, entry in _manifest_files(source / MANIFEST).items():
        data = _part(source / name, folder, number)
        if _entry(data) != entry:
            raise DamagedError(
                f"{source / name} is damaged (its SHA-256 differs from the manifest)."
                f"{_others(folder, number)}"
            )
        files[name] = data
    return files


def generations(folder: Path) -> list[int]:
    """The numbers of the complete generations of `folder`, oldest first."""
    complete = (path.name for path in folder.glob("gen-*") if os.path.exists(path / MANIFEST))
    matches = (_GENERATION.match(name) for name in complete)
    return sorted(int(match["number"]) for match in matches if match)


def drop_generations(folder: Path, keep: set[int]) -> None:
    """Remove every generation whose number is not in `keep`."""
    for number in set(generations(folder)) - keep:
        unwanted = _generation_folder(folder, number)
        remove(unwanted / MANIFEST)  # first, so that an interruption leaves an incomplete one
        remove(unwanted)


def sweep(folder: Path) -> None:
    """Remove the temporary files, and generations without a manifest, that dead processes left."""
    sweep_temporaries(folder)
    for path in folder.glob("gen-*"):
        if _GENERATION.match(path.name) and not os.path.exists(path / MANIFEST):
            remove(path)


def _manifest_files(path: Path) -> dict[str, Any]:
    manifest = read_json(path)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("schema") != SCHEMA:
        raise DamagedError(f"{path} is not a manifest of schema {SCHEMA}")
    if not all(_PLAIN_NAME.fullmatch(name) for name in files):
        raise DamagedError(f"{path} names a file that is not plainly one of its folder")
    return files


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": sha256(data)}


def _part(path: Path, folder: Path, number: int) -> bytes:
    try:
        return read_bytes(path)
    except DataError as error:
        raise DamagedError(f"{error}.{_others(folder, number)}") from error


def _generation_folder(folder: Path, number: int) -> Path:
    return folder / f"gen-{number:06d}"


def _others(folder: Path, damaged: int) -> str:
    others = [number for number in generations(folder) if number != damaged]
    if not others:
        return " No other generation is left"
    return f" An older one is still there: --checkpoint {_generation_folder(folder, others[-1])}"
