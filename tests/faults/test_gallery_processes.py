"""A gallery whose processes are killed, race each other, or drop their locks."""

import random
import time

import pytest

from reid_attn.gallery import Gallery
from reid_attn.gallery.local import connection as link
from reid_attn.gallery.local import records

ADD_AND_SEARCH = """
folder, writer = sys.argv[1:]
for number in range(10_000):
    with Gallery.open(folder) as gallery:  # closing it writes the cache
        name = f"{writer}-{number}"
        add(gallery, name)
        found = gallery.search(vector(name), 1)[0].person
        assert found == name, f"a search for {name} found {found}"
"""

ADD = """
folder, writer, count = sys.argv[1:]
with Gallery.open(folder) as gallery:
    for number in range(int(count)):
        add(gallery, f"{writer}-{number}")
"""

READ = """
import select
reads = 0
with Gallery.open(sys.argv[1]) as gallery:
    while not select.select([sys.stdin], [], [], 0)[0] or not reads:
        stats = gallery.stats()
        assert (stats.rows, stats.generation) == (stats.persons, 1 + stats.rows), stats
        if stats.rows:
            found = gallery.search(vector("a-0"), 3)
            assert len({hit.row for hit in found}) == len(found) >= min(3, stats.rows), found
        reads += 1
print(reads)
"""

HOLD = """
with Gallery.open(sys.argv[1]) as gallery, gallery.store._connection.transaction("IMMEDIATE"):
    print("held", flush=True)
    sys.stdin.read()
"""

STAY_OPEN = """
folder, touch = sys.argv[1:]
gallery = Gallery.open(folder)
add(gallery, "first")
gallery.search(vector("first")), gallery.stats(), gallery.verify()
gallery.close()
gallery = Gallery.open(folder)
gallery.search(vector("first")), gallery.stats(), gallery.verify()
if touch == "touch":
    open(f"{folder}/gallery.sqlite").close()
print("open", flush=True)
sys.stdin.readline()
for number in range(20):
    add(gallery, f"later-{number}")
print("added", flush=True)
sys.stdin.read()
"""


def persons(gallery):
    """Who is in the gallery, every checksum verified."""
    with gallery.store._connection.transaction():
        return [row.person for row in records.rows(gallery.store._connection)]


@pytest.mark.parametrize("kills", [3, pytest.param(150, marks=pytest.mark.full)])
def test_a_kill_at_any_moment_loses_nothing(folder, start, vector, kills):
    seed = 20
    generator = random.Random(seed)
    acknowledged = []
    for kill in range(kills):
        program = start(ADD_AND_SEARCH, folder, f"writer-{kill}")
        acknowledged.append(program.stdout.readline().strip())
        time.sleep(generator.uniform(0, 0.1))
        program.kill()
        output, problems = program.communicate()
        acknowledged += output.split()
        assert not problems, f"seed {seed}, kill {kill}"
        with Gallery.open(folder) as gallery:
            kept = persons(gallery)
            assert set(acknowledged) <= set(kept), f"seed {seed}, kill {kill}"
            assert gallery.stats().generation == 1 + len(kept), "one generation for each row"
            newest = kept[-1]
            assert gallery.search(vector(newest), 1)[0].person == newest
    assert len(acknowledged) >= kills
    names = ["audit.head", "audit.jsonl", "columns.cache", "gallery.sqlite", "index.cache"]
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize(
    ("adds", "readers"), [(8, 1), pytest.param(250, 4, marks=pytest.mark.full)]
)
def test_four_writers_and_readers(folder, start, adds, readers):
    writers = [start(ADD, folder, writer, adds) for writer in "abcd"]
    watchers = [start(READ, folder) for _ in range(readers)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        with Gallery.open(folder) as gallery:
            stats = gallery.stats()
            assert (stats.rows, stats.generation) == (stats.persons, 1 + stats.rows)
        reads += 1
    problems = [writer.communicate()[1] for writer in writers]
    assert problems == [""] * 4
    seen = [watcher.communicate("stop\n") for watcher in watchers]
    assert [problems for _, problems in seen] == [""] * readers
    assert all(int(reads) > 0 for reads, _ in seen)
    with Gallery.open(folder) as gallery:
        expected = {f"{writer}-{number}" for writer in "abcd" for number in range(adds)}
        assert set(persons(gallery)) == expected
        assert gallery.stats().generation == 1 + 4 * adds
    assert reads


@pytest.mark.parametrize("holders", [1, pytest.param(50, marks=pytest.mark.full)])
def test_a_lock_dies_with_its_process(folder, start, vector, monkeypatch, holders):
    monkeypatch.setattr(link, "BUSY_SECONDS", 0)
    for number in range(holders):
        holder = start(HOLD, folder)
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with Gallery.open(folder) as gallery:
            assert gallery.add_vectors([vector("x")], ["x"], [number], ["x"], [bytes(32)]) == 1


@pytest.mark.parametrize(("touch", "lost"), [("leave", 0), ("touch", 20)])
def test_a_process_keeps_its_lock(folder, start, touch, lost):
    """Whatever a gallery does while it is open, its later commits are not lost.

    They are when anybody in its process opens and closes the database's file: the second case shows
    that this test would notice.
    """
    program = start(STAY_OPEN, folder, touch)
    while program.stdout.readline() != "open\n":
        assert program.poll() is None, program.stderr.read()
    Gallery.open(folder).close()  # the last to leave removes the log, if nobody holds a lock
    program.stdin.write("go on\n")
    program.stdin.flush()
    while program.stdout.readline() != "added\n":
        assert program.poll() is None, program.stderr.read()
    program.kill()
    program.wait()
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 21 - lost
