"""Which pictures of a set cannot be decoded: found before training, by decoding each once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from .dataset import SPLITS, BadPicture, Dataset, first
from .images import decode

Progress = Callable[[int], None]
"""Called with the number of pictures that were just finished."""


def silent(_: int) -> None:
    """The `Progress` that shows nothing."""


def screen(
    dataset: Dataset, splits: Sequence[str] = SPLITS, progress: Progress = silent
) -> Dataset:
    """The set without the pictures of `splits` that cannot be decoded, which `bad` then lists."""
    pictures = [picture for split in splits for picture in dataset.splits()[split]]
    bad = _undecodable(sorted({picture.path for picture in pictures}), progress)
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
    count = "1 picture" if len(bad) == 1 else f"{len(bad)} pictures"
    return "\n".join([f"{count} left out that cannot be decoded:", *first(_lines(bad))])


def refuse_bad(source: str, bad: Sequence[BadPicture]) -> None:
    """One `DataError` that counts and names them; nothing where there are none."""
    if bad:
        count = "1 picture of it cannot" if len(bad) == 1 else f"{len(bad)} pictures of it cannot"
        lines = [f"{source} cannot be used, since {count} be decoded:", *first(_lines(bad))]
        raise DataError("\n".join([*lines, "or leave them all out with data.bad_pictures=skip"]))


def _undecodable(paths: Sequence[Path], progress: Progress) -> tuple[BadPicture, ...]:
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
        return str(error).removeprefix(f"{path} ")
    return ""


def _lines(bad: Sequence[BadPicture]) -> list[str]:
    return [_printable(f"{picture.path} {picture.reason}") for picture in bad]


def _printable(text: str) -> str:
    """On one line, whatever a file is named."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
