"""A disk that fails when it is told to."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from reid_attn.storage import files, folders


class Killed(BaseException):
    """What a process does not live to catch."""


class Disk:
    """Stands between `storage` and the system: keeps the list of calls, and fails when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.error: BaseException = OSError(ENOSPC, os.strerror(ENOSPC))
        self._watching, self._failing, self._forgets = False, range(0), False
        for name in ("fsync", "replace", "open", "mkdir", "unlink", "rmdir"):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))
        for module in (files, folders):
            monkeypatch.setattr(module, "open", self._open, raising=False)

    @contextmanager
    def watch(self, failing: range = range(0), forgets: bool = False) -> Iterator[list[str]]:
        """Let the calls of these numbers, from 1, fail; or drop half of what is written."""
        self.calls, self._failing, self._forgets = [], failing, forgets
        self._watching = True
        try:
            yield self.calls
        finally:
            self._watching = self._forgets = False

    def step(self, call: str, target: Any) -> None:
        """One call, which may fail."""
        if self._watching:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            self.calls.append(f"{call} {Path(path).name}")
            if len(self.calls) in self._failing:
                raise self.error

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *rest: Any, **options: Any) -> Any:
            if name != "unlink" or isinstance(self.error, Killed):  # cleaning up is not in question
                self.step(name, rest[0] if name == "replace" else target)
            return None if name == "fsync" else real(target, *rest, **options)

        return call

    def _open(
        self, path: Path, mode: str, buffering: int = -1, encoding: str = "", opener: Any = None
    ) -> Any:
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                half = bytes(data)[: len(data) // 2]
                if disk._forgets:
                    super().write(half)
                    return len(data)
                try:
                    disk.step("write", path)
                except BaseException:
                    super().write(half)
                    raise
                return super().write(data)

        raw = Raw(path, mode.replace("b", ""), opener=opener)
        if buffering == 0:
            return raw
        buffered = io.BufferedWriter(raw)
        return io.TextIOWrapper(buffered, encoding) if encoding else buffered
