"""Ending on a signal without losing work: the loop asks, finishes its step, saves, and leaves."""

import signal
from types import FrameType, TracebackType
from typing import Any

from ..errors import ENDING


class Interruption:
    """Notes the first signal in `signal` while entered; a second one ends the process at once.

    A signal that the process was started to ignore, as `nohup` has it with SIGHUP, stays ignored.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
