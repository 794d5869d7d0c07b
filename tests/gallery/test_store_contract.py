"""Every store beside a dictionary: whatever is done, in any order, both tell the same."""

import hashlib
import os
import tempfile

import numpy as np
from dying import die
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reid_attn.errors import DataError, UsageError
from reid_attn.gallery import Gallery, where
from reid_attn.gallery.contract import Store
from reid_attn.gallery.filters import EVERYTHING, LIVE
from reid_attn.gallery.local import records as clock

DIMENSION = 6
DAY = 86_400
KEEP_DAYS = 3

names = st.sampled_from(["anna", "bert", "carl", None])
numbers = st.integers(0, 30)
CALLS = st.integers(100, 700)
"""After how many calls of the gallery's functions a process dies: some changes make fewer."""


def vector(name):
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=DIMENSION)


class StoreMachine(RuleBasedStateMachine):
    """Adds, searches, removes, relabels, forgets, expires and reopens, with a clock of its own.

    In between, a process that makes a change dies in the middle of it.
    """

    def make(self) -> None:
        """Make an empty store of the kind that is tested, and set `self.gallery`."""
        raise NotImplementedError

    def open(self) -> Gallery:
        """Open it again."""
        raise NotImplementedError

    @initialize()
    def start(self):
        self.now = 1_000_000_000
        self.clock, clock.now = clock.now, lambda: self.now
        self.twin = {}
        self.refused = set()
        self.deaths = 0
        self.make()

    def teardown(self):
        if hasattr(self, "gallery"):
            self.gallery.close()
            clock.now = self.clock

    def live(self):
        """The rows of the twin that have not expired, by number."""
        return {n: row for n, row in self.twin.items() if row["expiry"] > self.now}

    @rule(
        pictures=st.lists(numbers, min_size=1, max_size=5), person=names, camera=st.integers(0, 2)
    )
    def add(self, pictures, person, camera):
        names = [f"picture {number}" for number in pictures]
        arguments = (
            [vector(name) for name in names],
            [person] * len(names),
            [camera] * len(names),
            names,
            [hashlib.sha256(name.encode()).digest() for name in names],
        )
        if self.refused.intersection(names):
            try:
                self.gallery.add_vectors(*arguments)
            except DataError:
                return
            raise AssertionError("an erased picture came back")
        there = {(r["name"], r["first"], r["camera"]) for r in self.live().values()}
        new = [n for n in dict.fromkeys(names) if (n, person or "", camera) not in there]
        before = {row.row for row in self.gallery.rows(EVERYTHING)}
        assert self.gallery.add_vectors(*arguments) == len(new)
        added = [row for row in self.gallery.rows(EVERYTHING) if row.row not in before]
        assert [row.source.decode() for row in added] == new
        for row in added:
            self.note(row.row, row.source.decode(), person or "", camera)

    def note(self, row, name, person, camera):
        """The twin has a row that was just added."""
        known = {"name": name, "first": person, "person": person, "camera": camera}
        told = {"label": self.called(person), "changed": self.gallery.store.meta().generation}
        self.twin[row] = {**known, **told, "expiry": self.now + KEEP_DAYS * DAY}

    def called(self, person):
        """The name that the person was given last."""
        named = [
            (known["changed"], row, known["label"])
            for row, known in self.twin.items()
            if known["person"] == person != "" and known["label"]
        ]
        return max(named, default=("",))[-1]

    @precondition(lambda self: self.twin)
    @rule(number=numbers, k=st.integers(1, 9), other=st.none() | st.integers(0, 2))
    def search(self, number, k, other):
        query = vector(f"picture {number}")
        expected = []
        for row, known in self.live().items():
            if known["camera"] != other:
                stored = vector(known["name"])
                lengths = np.linalg.norm(stored) * np.linalg.norm(query)
                expected.append((-float(stored @ query) / lengths, row))
        expected = sorted((round(score, 6), row) for score, row in expected)[:k]
        found = self.gallery.search(query, k, other)
        assert [hit.row for hit in found] == [row for _, row in expected]
        for hit, (score, row) in zip(found, expected, strict=True):
            assert abs(hit.score + score) < 1e-5
            known = self.twin[row]
            assert (hit.person, hit.name, hit.camera) == (
                known["person"],
                known["label"],
                known["camera"],
            )

    @precondition(lambda self: self.twin)
    @rule(data=st.data())
    def remove(self, data):
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.twin)), min_size=1, max_size=3))
        assert self.gallery.remove(chosen) == len(set(chosen))
        for row in set(chosen):
            del self.twin[row]

    @precondition(lambda self: self.twin)
    @rule(data=st.data(), person=names, label=st.sampled_from(["", "Anna", "é"]))
    def relabel(self, data, person, label):
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.twin)), min_size=1, max_size=4))
        wanted = dict.fromkeys(chosen, (person or "", label))
        changed = [
            r for r in wanted if (self.twin[r]["person"], self.twin[r]["label"]) != wanted[r]
        ]
        assert self.gallery.store.relabel(wanted, "rename") == len(changed)
        generation = self.gallery.store.meta().generation
        for row in changed:
            self.twin[row] |= {"person": person or "", "label": label, "changed": generation}

    @rule(person=st.sampled_from(["anna", "bert", "carl"]))
    def forget(self, person):
        theirs = [row for row, known in self.twin.items() if known["person"] == person]
        try:
            receipt = self.gallery.forget(person)
        except UsageError:
            assert not theirs
            return
        assert receipt["rows"] == sorted(theirs) != []
        for row in theirs:
            self.refused.add(self.twin.pop(row)["name"])

    @rule(days=st.integers(0, 2))
    def wait(self, days):
        self.now += days * DAY

    @precondition(lambda self: len(self.live()) < len(self.twin))
    @rule()
    def expire(self):
        gone = sorted(set(self.twin) - set(self.live()))
        assert self.gallery.expire()["rows"] == gone
        for row in gone:
            del self.twin[row]

    @rule()
    def reopen(self):
        self.gallery.close()
        self.gallery = self.open()

    @rule(kind=st.sampled_from(["forget", "remove", "add"]), data=st.data(), calls=CALLS)
    def somebody_dies_in_a_change(self, kind, data, calls):
        self.deaths += 1
        name = f"death {self.deaths}"
        person = data.draw(st.sampled_from(["anna", "bert"]))
        known = sorted({row["person"] for row in self.twin.values()} - {""})
        if kind == "remove" and self.twin:
            change = {"remove": data.draw(st.sampled_from(sorted(self.twin)))}
        elif kind == "forget" and known:
            change = {"forget": data.draw(st.sampled_from(known))}
        else:
            change = {"add": name, "person": person}
        self.gallery.close()
        died = die(
            {
                "place": self.place,
                "change": change,
                "vector": vector(name).tolist(),
                "now": self.now,
                "calls": calls,
                "folder": os.getcwd(),
            }
        )
        self.gallery = self.open()
        found = {row.row: row.source.decode() for row in self.gallery.rows(EVERYTHING)}
        if found.keys() == self.twin.keys():
            assert died, "what was acknowledged is not there"
        elif "add" in change:
            row = max(found)
            assert found[row] == name
            self.note(row, name, person, 1)
        else:
            gone = self.meant_by(change)
            assert gone == self.twin.keys() - found.keys()
            names = {self.twin.pop(row)["name"] for row in gone}
            if "forget" in change:
                self.refused |= names

    def meant_by(self, change):
        """The rows that a change deletes."""
        if "remove" in change:
            return {change["remove"]}
        return {row for row, known in self.twin.items() if known["person"] == change["forget"]}

    @rule(row=st.integers(1, 40))
    def a_row_that_is_not_there_changes_nothing(self, row):
        if row not in self.twin:
            store: Store = self.gallery.store
            generation = store.meta().generation
            for change in (
                lambda: store.remove([row]),
                lambda: store.relabel({row: ("x", "")}, "rename"),
                lambda: store.get([row]),
                lambda: store.vectors([row]),
            ):
                try:
                    change()
                except UsageError:
                    continue
                raise AssertionError(f"row {row} is not there")
            assert store.meta().generation == generation

    @invariant()
    def both_tell_the_same(self):
        if not hasattr(self, "gallery"):
            return
        store = self.gallery.store
        assert [row.row for row in store.rows(EVERYTHING)] == sorted(self.twin)
        assert [row.row for row in store.rows(LIVE)] == sorted(self.live())
        assert store.meta().rows == len(self.gallery) == len(self.twin)
        summary = store.summary()
        assert summary.persons == len({r["person"] for r in self.twin.values()} - {""})
        assert summary.expired == len(self.twin) - len(self.live())
        assert summary.erased == len(self.refused)

    @precondition(lambda self: self.twin)
    @rule(person=names, camera=st.integers(0, 2))
    def filter(self, person, camera):
        found = self.gallery.rows(where(cameras=[camera], persons=person and [person]))
        expected = [
            row
            for row, known in self.live().items()
            if known["camera"] == camera and person in (None, known["person"])
        ]
        assert [row.row for row in found] == sorted(expected)

    @rule()
    def everything_is_as_it_was_written(self):
        assert self.gallery.verify() == len(self.twin)


class LocalMachine(StoreMachine):
    """The store in a folder."""

    def make(self):
        self.folder = tempfile.TemporaryDirectory()
        self.place = f"{self.folder.name}/people"
        options = {"fingerprint": "a", "dimension": DIMENSION, "keep_days": KEEP_DAYS}
        Gallery.create(self.place, **options)
        self.gallery = self.open()

    def open(self):
        return Gallery.open(self.place)

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestLocal = LocalMachine.TestCase
TestLocal.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None, derandomize=True
)
