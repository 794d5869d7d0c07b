"""Whole galleries from store to store: nothing is lost, added or made younger on the way."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from functools import partialmethod

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DataError, DiskError, LockedError, UsageError
from reid_attn.gallery import Gallery, copying
from reid_attn.gallery.filters import EVERYTHING
from reid_attn.gallery.local import records as clock
from reid_attn.gallery.local.connection import Connection
from reid_attn.gallery.milvus.lock import Lock
from reid_attn.gallery.places import open_store, transfer

DIMENSION = 8
DAY = 86_400


def has_milvus():
    try:
        import milvus_lite  # noqa: F401
        import pymilvus  # noqa: F401
    except ImportError:
        return False
    return True


SERVER = os.environ.get("REID_ATTN_MILVUS", "")
lite = pytest.param("lite", marks=pytest.mark.skipif(not has_milvus(), reason="no extra milvus"))


def place_of(kind, tmp_path, name):
    return str(tmp_path / name) if kind == "folder" else f"milvus:{tmp_path}/{name}.db/people"


def digests(count):
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


@pytest.fixture
def full(tmp_path, monkeypatch, measured):
    """Makes a gallery with a past: added in two goes, renamed, removed from, and forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clock, "now", lambda: 1_000_000_000)

    def make(kind):
        place = place_of(kind, tmp_path, "old")
        options = {"purpose": "test", "controller": "me", "keep_days": 3}
        Gallery.create(place, fingerprint="model-a", dimension=DIMENSION, **options)
        vectors = np.random.default_rng(0).normal(size=(12, DIMENSION))
        with Gallery.open(place) as gallery:
            for some in (slice(0, 7), slice(7, 12)):
                count = len(vectors[some])
                gallery.add_vectors(
                    vectors[some],
                    ["anna", "bert", None, "carl", "dora", None, "emil"][:count],
                    range(count),
                    [f"{number}.jpg" for number in range(count)],
                    digests(12)[some],
                    times=[None, 5.5, 1e9, 2, 3, 4, 5][:count],
                    tracks=["", "7", "8", "", "", "é", ""][:count],
                    attributes=[{"a": [1, {"b": None}]}, {}, {}, {}, {}, {}, {}][:count],
                )
                monkeypatch.setattr(clock, "now", lambda: 1_000_000_000 + 2 * DAY)
            gallery.store.relabel({3: ("", "Nobody"), 4: ("carla", "Carla")}, "rename")
            gallery.remove([9])
            gallery.forget("dora")
            gallery.store.annotate("calibrate", calibration=measured(0.5))
        return place

    return make


def content(store):
    numbers = [row.row for row in store.rows(EVERYTHING)]
    kept = store.get(numbers), store.vectors(numbers).tobytes(), store.thumbnails(numbers)
    meta = store.meta()
    lasting = meta.fingerprint, meta.purpose, meta.salt, meta.rows, meta.until, meta.calibration
    return kept, store.blocked(), store.corrections(), lasting


@pytest.mark.parametrize("target", ["folder", lite])
@pytest.mark.parametrize("source", ["folder", lite])
def test_everything_arrives(tmp_path, full, source, target, monkeypatch):
    old, new = full(source), place_of(target, tmp_path, "new")
    told = []
    assert transfer(old, new, told.append) == sum(told) == 9
    with closing(open_store(old)) as first:
        expected = content(first)
        generation = first.meta().generation
    with Gallery.open(new) as gallery:
        assert content(gallery.store) == expected
        assert gallery.verify() == 9
        assert gallery.store.meta().generation == generation + 1
        last = list(gallery.store.history())[-1]
        assert (last["action"], last["of"]) == ("copy", old)
        with pytest.raises(DataError, match="erased"):
            gallery.add_vectors(np.eye(DIMENSION)[:1], ["x"], [1], ["x"], [digests(12)[4]])
        assert gallery.add_vectors(np.eye(DIMENSION)[:1], ["x"], [1], ["x"], [bytes(32)]) == 1
        assert gallery.rows()[-1].row == 13
        monkeypatch.setattr(clock, "now", lambda: 1_000_000_000 + 4 * DAY)
        assert [row.row for row in gallery.rows()] == [8, 10, 11, 13], "copying makes none younger"


@pytest.mark.parametrize("target", ["folder", lite])
def test_a_source_that_changes_meanwhile_is_not_copied(
    tmp_path, full, target, monkeypatch, measured
):
    old, new = full("folder"), place_of(target, tmp_path, "new")
    monkeypatch.setattr(copying, "PART", 4)

    def meddle(count):
        with Gallery.open(old) as gallery:
            gallery.store.annotate("calibrate", calibration=measured(0.6))

    with pytest.raises(LockedError, match="was changed while it was copied"):
        transfer(old, new, meddle)
    with pytest.raises(UsageError, match="there is no gallery"):
        open_store(new)
    assert transfer(old, new) == 9


@pytest.mark.parametrize("target", ["folder", lite])
def test_only_an_empty_gallery_becomes_a_copy(tmp_path, full, target):
    old, new = full("folder"), place_of(target, tmp_path, "new")
    transfer(old, new)
    with closing(open_store(old)) as source, closing(open_store(new)) as full_one:
        with pytest.raises(UsageError, match="rows of its own"):
            copying.copy(source, full_one)
        assert content(full_one) == content(source)
    with pytest.raises(UsageError, match="already"):
        transfer(old, new)


def test_a_copy_that_differs_is_noticed(tmp_path, full):
    old, new = full("folder"), str(tmp_path / "new")
    transfer(old, new)
    with closing(open_store(old)) as source, closing(open_store(new)) as target:
        numbers = [row.row for row in source.rows(EVERYTHING)]
        copying.compare(source, target, numbers)
        target.relabel({2: ("x", "")}, "rename")
        with pytest.raises(DamagedError, match="corrections are not the same"):
            copying.compare(source, target, numbers)
        source.relabel({2: ("x", "y")}, "rename")
        with pytest.raises(DamagedError, match="not the same"):
            copying.compare(source, target, numbers)
        target.remove([2])
        with pytest.raises(DamagedError, match="8 of 9 rows"):
            copying.compare(source, target, numbers)


def test_a_damaged_row_is_not_copied(tmp_path, full):
    import sqlite3

    old, new = full("folder"), str(tmp_path / "new")
    with closing(sqlite3.connect(f"{old}/gallery.sqlite")) as connection:
        connection.execute("UPDATE people SET camera = 99 WHERE row = 2")
        connection.commit()
    for _ in range(2):
        with pytest.raises(DamagedError, match="row 2 of table 'people'"):
            transfer(old, new)
    assert sorted(os.listdir(tmp_path)) == ["old"]
    with Gallery.open(old) as gallery:
        for act in (gallery.backup, lambda folder: gallery.export("bert", folder)):
            with pytest.raises(DamagedError, match="row 2 of table 'people'"):
                act(tmp_path / "half")
            assert not (tmp_path / "half").exists()


def meddling(monkeypatch, meddle):
    """Let somebody else do something after the copy was written and before it is compared."""
    compare = copying.compare

    def later(source, target, numbers):
        meddle(target)
        return compare(source, target, numbers)

    monkeypatch.setattr(copying, "compare", later)


def add_one(place):
    with Gallery.open(place) as gallery:
        return gallery.add_vectors(np.eye(DIMENSION)[:1], ["zoe"], [1], ["z.jpg"], [bytes(32)])


@pytest.mark.parametrize("empty", [False, True])
def test_what_somebody_puts_where_the_copy_is_to_be_stays(tmp_path, full, monkeypatch, empty):
    old, new = full("folder"), tmp_path / "new"

    def meddle(target):
        with pytest.raises(UsageError, match="there is no gallery"):
            Gallery.open(new)
        Gallery.create(new, fingerprint="model-b", dimension=DIMENSION)
        assert empty or add_one(new) == 1

    meddling(monkeypatch, meddle)
    with pytest.raises(DiskError, match=r"could not write .*not empty"):
        transfer(old, new)
    with Gallery.open(new) as gallery:
        assert gallery.store.meta().fingerprint == "model-b"
        assert len(gallery) == gallery.verify() == (0 if empty else 1)
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_a_folder_with_something_in_it_takes_no_copy(tmp_path, full):
    old, new = full("folder"), tmp_path / "new"
    new.mkdir()
    (new / "note").write_bytes(b"of somebody")
    for place, told in ((new, "exists already"), (tmp_path / ("x" * 256), "a shorter name")):
        with pytest.raises(UsageError, match=told):
            transfer(old, place)
    assert os.listdir(new) == ["note"]
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_a_backup_on_a_full_disk_names_where_it_was_to_be(tmp_path, full, monkeypatch):
    copy_to = Connection.copy_to

    def filling(self, other):
        other._sqlite.execute("PRAGMA max_page_count = 3")
        copy_to(self, other)

    monkeypatch.setattr(Connection, "copy_to", filling)
    with Gallery.open(full("folder")) as gallery:
        told = r"could not copy .*old/gallery.sqlite to .*\.new\..*/gallery.sqlite \(.*full\): "
        with pytest.raises(DiskError, match=told):
            gallery.backup(tmp_path / "new")
        assert gallery.verify() == 9
    assert os.listdir(tmp_path) == ["old"]


KILLED = """
import os, signal, sys
from reid_attn.gallery import copying
from reid_attn.gallery.places import transfer

copying.compare = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
transfer(*sys.argv[1:])
"""


def test_a_killed_copy_leaves_no_gallery_and_can_be_repeated(tmp_path, full):
    old, new = full("folder"), tmp_path / "new"
    done = subprocess.run([sys.executable, "-c", KILLED, old, str(new)])
    assert done.returncode == -signal.SIGKILL
    assert not new.exists()
    assert any(name.startswith(".new.") for name in os.listdir(tmp_path))
    assert transfer(old, new) == 9
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


@pytest.mark.skipif(not has_milvus(), reason="no extra milvus")
@pytest.mark.parametrize("locks", [False, True])
def test_a_gallery_in_milvus_that_somebody_else_has_changed_is_left(
    tmp_path, full, monkeypatch, locks
):
    old, new = full("folder"), place_of("lite", tmp_path, "new")
    if locks:  # as a server needs them
        monkeypatch.setattr(Lock, "__init__", partialmethod(_lock, Lock.__init__))
    with monkeypatch.context() as patch:
        meddling(patch, lambda target: target.relabel({2: ("zoe", "")}, "rename"))
        with pytest.raises(LockedError, match=r"somebody else .* left as it is, and no copy: .*"):
            transfer(old, new)
    with Gallery.open(new) as gallery:
        assert gallery.rows()[1].person == "zoe"
        assert len(gallery) == 9
    with pytest.raises(UsageError, match="already"):
        transfer(old, new)


@pytest.mark.skipif(not has_milvus(), reason="no extra milvus")
@pytest.mark.parametrize("locks", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_failed_copy_to_milvus_is_removed(tmp_path, full, monkeypatch, locks, late):
    old, new = full("folder"), place_of("lite", tmp_path, "new")
    if locks:
        monkeypatch.setattr(Lock, "__init__", partialmethod(_lock, Lock.__init__))

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if late:
            meddling(patch, stop)
        transfer(old, new, copying.silent if late else stop)
    with pytest.raises(UsageError, match="there is no gallery"):
        open_store(new)
    assert transfer(old, new) == 9


def _lock(lock, init, notes, who, needed):
    init(lock, notes, who, True)


@pytest.mark.skipif(not has_milvus(), reason="no extra milvus")
def test_a_backup_of_milvus_is_a_folder(tmp_path, full):
    old = full("lite")
    with Gallery.open(old) as gallery:
        gallery.backup(tmp_path / "backup")
        expected = content(gallery.store)
        with pytest.raises(UsageError, match="exists already"):
            gallery.backup(tmp_path / "backup")
    with Gallery.open(tmp_path / "backup") as gallery:
        assert content(gallery.store) == expected
        assert gallery.verify() == 9
    assert json.loads((tmp_path / "backup/audit.jsonl").read_text().splitlines()[-1])["of"] == old
