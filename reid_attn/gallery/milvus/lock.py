"""One writer at a time, without a lock in Milvus: claims that everybody sees.

A writer writes a claim and then looks for others. Whoever sees another one withdraws his own, and
tries again after a moment drawn at random: of two who both wrote before they looked, none goes on.
A claim that does not change for `LEASE` seconds, by the watch of the one who waits, is of a writer
that died; a writer that was held up for half as long stops before it makes its change valid.
Milvus Lite needs none of this: one process has its folder.
"""

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import LockedError
from .notes import Notes

KIND = "claim"
LEASE = 20.0
WAIT_SECONDS = 60.0


class Lock:
    """The right to write, for one store."""

    def __init__(self, notes: Notes, who: str, needed: bool) -> None:
        self._notes = notes
        self._who = who
        self._needed = needed
        self._claim = f"claim/{secrets.token_hex(16)}"
        self._since = 0.0
        self._beats = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only writer; `LockedError` when others are for too long."""
        if not self._needed:
            yield
            return
        self._wait()
        try:
            yield
        finally:
            if self._needed:
                self._notes.drop(self._claim)

    def abandon(self) -> None:
        """The claims went with the gallery, and there is nothing more to lock."""
        self._needed = False

    def keep(self) -> None:
        """Show, now and then during a long change, that the writer lives.

        `LockedError` when this comes so late that others may have taken it for dead.
        """
        if self._needed and time.monotonic() - self._since > LEASE / 2:
            raise LockedError(
                "Milvus took too long, and somebody else may be writing by now: nothing was "
                "changed; run the command again"
            )
        self.beat()

    def beat(self) -> None:
        """As `keep`, for a change that is valid already and may be completed by anybody."""
        if self._needed and time.monotonic() - self._since > LEASE / 10:
            self._write()

    def _wait(self) -> None:
        limit = time.monotonic() + WAIT_SECONDS
        seen: dict[str, tuple[str, float]] = {}
        while others := self._others() or self._claimed():
            now = time.monotonic()
            seen = {
                name: seen[name] if seen.get(name, ("",))[0] == text else (text, now)
                for name, text in others.items()
            }
            for name, (_, since) in seen.items():
                if now - since > LEASE:
                    self._notes.drop(name)
            if now > limit:
                raise LockedError(
                    f"the gallery has been in use for {WAIT_SECONDS:.0f} s by "
                    f"{next(iter(others.values())).partition(' ')[2]}: nothing was changed; wait "
                    "for it to end and try again"
                )
            time.sleep(random.uniform(0.05, 0.5))

    def _claimed(self) -> dict[str, str]:
        """Claim; withdraw and return the claims of others when there are any."""
        self._write()
        others = self._others()
        if others:
            self._notes.drop(self._claim)
        return others

    def _others(self) -> dict[str, str]:
        claims = self._notes.of_kind(KIND)
        return {name: text for name, text in claims.items() if name != self._claim}

    def _write(self) -> None:
        self._beats += 1
        self._since = time.monotonic()  # before the call: it may take long
        self._notes.put({self._claim: f"{self._beats} {self._who}"}, KIND)
