"""Which pictures cannot be decoded, found by decoding each once: those of a set, before training,
or those that are left where a work met one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from .dataset import SPLITS, BadPicture, Dataset, first
from .images import ADVICE, decode

Progress = Callable[[int], None]
"""Called with the number of pictures that were just finished."""


def silent(_: int) -> None:
    """The `Progress` that shows nothing."""


def screen(
    dataset: Dataset, splits: Sequence[str] = SPLITS, progress: Progress = silent
) -> Dataset:
    """The set without the pictures of `splits` that cannot be decoded, which `bad` then lists."""
    pictures = [picture for split in splits for picture in dataset.splits()[split]]
    bad = undecodable(sorted({picture.path for picture in pictures}), progress)
    known = {picture.path for picture in bad}
    train, query, gallery = (
        tuple(picture for picture in split if picture.path not in known)
        for split in dataset.splits().values()
    )
    return replace(dataset, train=train, query=query, gallery=gallery, bad=dataset.bad + bad)


def listing(bad: Sequence[BadPicture]) -> str:
    """All of them for a file: a line each, with the name and the reason."""
    return "".join(f"{line}\n" for line in _lines(bad))


def summary(bad: Sequence[BadPicture]) -> str:
    """How many there are, and the first by name; an empty text without any."""
    if not bad:
        return ""
    return "\n".join([f"{_count(bad)} left out that cannot be decoded:", *first(_lines(bad))])


def refuse_bad(bad: Sequence[BadPicture], where: str, otherwise: str) -> None:
    """One `DataError` that counts and names them, with what to do `otherwise`; nothing for none."""
    if bad:
        head = f"{_count(bad)} of {where} cannot be decoded:"
        advice = f"replace them by JPEG or PNG pictures, or {otherwise}"
        raise DataError("\n".join([head, *first(_lines(bad)), advice]))


def undecodable(paths: Sequence[Path], progress: Progress = silent) -> tuple[BadPicture, ...]:
    """Those of `paths` that cannot be decoded."""
    bad = []
    with ThreadPoolExecutor() as threads:
        tasks = {path: threads.submit(_reason, path) for path in paths}
        try:
            for path, task in tasks.items():
                bad += [BadPicture(path, task.result())] if task.result() else []
                progress(1)
        finally:
            threads.shutdown(cancel_futures=True)  # an interruption does not wait for the rest
    return tuple(bad)


def _reason(path: Path) -> str:
    try:
        decode(path)
    except DataError as error:
        return str(error).removeprefix(f"{path} ").removesuffix(f": {ADVICE}")
    return ""


def _count(bad: Sequence[BadPicture]) -> str:
    return "1 picture" if len(bad) == 1 else f"{len(bad)} pictures"


def _lines(bad: Sequence[BadPicture]) -> list[str]:
    return [_printable(f"{picture.path} {picture.reason}") for picture in bad]


def _printable(text: str) -> str:
    """On one line, whatever a file is named."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
