"""The pictures that an action on a gallery is given, and what their names tell."""

from collections.abc import Sequence
from pathlib import Path

from ...errors import DataError


def pictures_below(sources: Sequence[Path]) -> list[Path]:
    """The pictures below the sources."""
    from ...data.images import pictures_at

    pictures = [picture for source in sources for picture in pictures_at(source)]
    if not pictures:
        raise DataError(f"there is no picture in {sources[0]}: check the path")
    return pictures


def by_name(pictures: Sequence[Path], otherwise: str) -> list[tuple[Path, str, int]]:
    """What names like `0002_c1s1_000451_03.jpg` tell, junk left out; if not, what to say."""
    from ...data.market1501 import EXAMPLE, JUNK, parse_name

    parsed = [(picture, parse_name(picture.name)) for picture in pictures]
    unnamed = [str(picture) for picture, name in parsed if name is None]
    if unnamed:
        raise DataError(
            f"{len(unnamed)} of {len(pictures)} pictures have no name like {EXAMPLE}, such as "
            f"{unnamed[0]}: say {otherwise}, the same for all of them, or list each "
            "with its own in a table (--tracks FILE.csv)"
        )
    known = [(p, name) for p, name in parsed if name is not None and name[0] != JUNK]
    return [(picture, f"{person:04d}", camera) for picture, (person, camera) in known]
