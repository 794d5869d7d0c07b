"""A gallery whose processes are killed while they add, rename, remove, forget and compact.

Each process is forked from one that has imported everything and has no database open, so that a
kill costs milliseconds and SQLite's locks are its own.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time

import numpy as np
import pytest

from reid_attn.gallery import Gallery
from reid_attn.gallery.filters import EVERYTHING

DIMENSION = 64

WORK = """
import json, os, random

folder = sys.argv[1]

def change(gallery, generator, persons, number, kind):
    if kind == "add" or not persons:
        names = [f"{number}-{place}" for place in range(generator.randrange(1, 4))]
        yield {"add": names}
        digests = [hashlib.sha256(name.encode()).digest() for name in names]
        gallery.add_vectors([vector(n) for n in names], names, [1] * len(names), names, digests)
        return
    row, person = generator.choice(persons)
    if kind == "relabel":
        yield {"relabel": row, "person": f"new {number}"}
        gallery.store.relabel({row: (f"new {number}", "")}, "rename")
    elif kind == "remove":
        yield {"remove": row}
        gallery.remove([row])
    elif kind == "forget":
        yield {"forget": person}
        gallery.forget(person)
    else:
        yield {}
        gallery.search(row, 3)

def work(seed, kind):
    generator = random.Random(seed)
    number = 0
    while True:
        with Gallery.open(folder) as gallery:
            for _ in range(5):
                persons = [(row.row, row.person) for row in gallery.rows()]
                number += 1
                for begun in change(gallery, generator, persons, f"{seed}-{number}", kind):
                    print(json.dumps({"begun": begun}), flush=True)
                kind = generator.choice(["add", "add", "add", "relabel", "remove", "search"])
                print(json.dumps({"done": True}), flush=True)

print("ready", flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        try:
            seed, kind = line.split()
            work(int(seed), kind)
        except BaseException as error:
            print(json.dumps({"failed": repr(error)}), flush=True)
        os._exit(1)
    os.wait()
    print("dead", flush=True)
"""


class Twin:
    """What the gallery must hold: the name that drew a row's vector, and its person, by number."""

    def __init__(self):
        self.rows = {}
        self.last = 0

    def after(self, change):
        """The twin after a change."""
        twin = Twin()
        twin.rows, twin.last = dict(self.rows), self.last
        for name in change.get("add", ()):
            twin.last += 1
            twin.rows[twin.last] = (name, name)
        if "relabel" in change:
            name, _ = twin.rows[change["relabel"]]
            twin.rows[change["relabel"]] = (name, change["person"])
        twin.rows.pop(change.get("remove"), None)
        forgotten = change.get("forget")
        twin.rows = {n: row for n, row in twin.rows.items() if row[1] != forgotten}
        return twin

    def agrees(self, gallery):
        rows = gallery.rows(EVERYTHING)
        return {row.row: (row.source.decode(), row.person) for row in rows} == self.rows

    def nearest(self, vector, query):
        """The row that a plain loop finds."""
        scores = {}
        for number, (name, _) in self.rows.items():
            stored = vector(name)
            scores[number] = stored @ query / np.linalg.norm(stored)
        return max(scores, key=scores.get)


def live_and_die(program, seed, kind, seconds):
    """Let a process work and kill it; what it has begun and what it has finished, in order."""
    program.stdin.write(f"{seed} {kind}\n")
    program.stdin.flush()
    pid = int(program.stdout.readline())
    lines = [json.loads(program.stdout.readline())]  # the first change is begun
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):  # one that failed is gone, and has said why
        os.kill(pid, signal.SIGKILL)
    while (line := program.stdout.readline()) != "dead\n":
        lines.append(json.loads(line))
    return lines


@pytest.mark.parametrize("kills", [12, pytest.param(1000, marks=pytest.mark.full)])
def test_what_was_acknowledged_is_kept_and_no_more(folder, start, vector, kills):
    generator = random.Random(7)
    program = start(WORK, folder)
    assert program.stdout.readline() == "ready\n", program.stderr.read()
    twin, acknowledged, between, forgetting, forgotten = Twin(), 0, 0, 0, 0
    for kill in range(kills):
        pending = None
        # Every fifth begins with a forget, whose proof takes longer than any other change.
        kind, longest = ("forget", 2.0) if kill % 5 == 4 else ("add", 0.3)
        for line in live_and_die(program, kill, kind, generator.uniform(0, longest)):
            assert "failed" not in line, f"kill {kill}: {line}"
            if "begun" in line:
                pending = line["begun"]
            elif pending is not None:
                forgotten += "forget" in pending
                twin, pending, acknowledged = twin.after(pending), None, acknowledged + 1
        with Gallery.open(folder) as gallery:
            after = twin if pending is None else twin.after(pending)
            between += bool(pending)
            forgetting += bool(pending) and "forget" in pending
            assert twin.agrees(gallery) or after.agrees(gallery), f"kill {kill}: {pending}"
            twin = twin if twin.agrees(gallery) else after
            assert gallery.verify() == len(twin.rows)
            if twin.rows:
                query = vector(twin.rows[max(twin.rows)][0])
                assert gallery.search(query, 1)[0].row == twin.nearest(vector, query)
    assert acknowledged + between >= kills / 2
    sys.stderr.write(
        f"{kills} kills, {between} during a change, {forgetting} of them a forget; {acknowledged} "
        f"changes acknowledged, {forgotten} of them a forget: 0 lost\n"
    )


def test_the_twin_would_notice(folder, vector):
    """A row that the gallery does not have, and one that it has in vain."""
    with Gallery.open(folder) as gallery:
        digest = hashlib.sha256(b"a").digest()
        gallery.add_vectors([vector("a")], ["a"], [1], ["a"], [digest])
        assert Twin().after({"add": ["a"]}).agrees(gallery)
        assert not Twin().agrees(gallery)
        assert not Twin().after({"add": ["a", "b"]}).agrees(gallery)
        assert not Twin().after({"add": ["a"]}).after({"relabel": 1, "person": "x"}).agrees(gallery)
