"""What a reader of a data set is asked for."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..settings import DataSettings
from .dataset import SPLITS
from .images import fault


@dataclass(frozen=True, slots=True)
class Reading:
    """How a set is read; the defaults ask for all of it, and for sound files only."""

    camera_pattern: str = DataSettings().camera_pattern
    """For `folder`: where a name holds its camera."""
    needed: tuple[str, ...] = SPLITS
    """The splits that must hold pictures; the others may be missing."""
    skip_bad: bool = False
    """Take files that cannot be pictures for now: they are screened later."""

    def fault(self, path: Path) -> str:
        """Why the file is refused; an empty text when it is not."""
        return "" if self.skip_bad else fault(path)

    def pattern(self) -> re.Pattern[str]:
        """`camera_pattern`, ready for use; `UsageError` for one that cannot find a number."""
        try:
            pattern = re.compile(self.camera_pattern)
        except re.error as error:
            raise UsageError(
                f"data.camera_pattern '{self.camera_pattern}' is wrong: {error}"
            ) from error
        if pattern.groups < 1:
            raise UsageError(
                f"data.camera_pattern '{self.camera_pattern}' has no group (…) around the "
                "camera's number"
            )
        return pattern


WHOLE = Reading()
