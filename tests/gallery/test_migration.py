"""A gallery of version 1 opens as one of today: every row, or none was touched."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from reid_attn.errors import DamagedError, MismatchError
from reid_attn.gallery import Gallery
from reid_attn.gallery.filters import EVERYTHING
from reid_attn.gallery.local import migration, schema
from reid_attn.gallery.local.connection import NAME
from reid_attn.gallery.record import SCHEMA, checksum

DIMENSION = 8
ROWS = 5


def old_meta():
    return {
        "fingerprint": "model-a",
        "dimension": DIMENSION,
        "purpose": "lost children",
        "run": "runs/a",
        "keep_days": None,
        "created": "2026-01-01T00:00:00+00:00",
        "schema": 1,
        "distance": "cosine",
        "generation": 4,
        "change": "ab" * 16,
        "rows": ROWS,
        "versions": "",
        "pid": 1,
        "host": "here",
    }


def old_rows():
    """Row 3 was never there: numbers have gaps only when rows were deleted."""
    rows = []
    for number in (1, 2, 4, 5, 6):
        vector = np.eye(DIMENSION, dtype="<f4")[number]
        digest = hashlib.sha256(bytes([number])).digest()
        source, expiry = f"{number}.jpg".encode(), None if number < 6 else 1_000
        person = "Ren\u00e9" if number % 2 else "anna"
        rows.append((number, person, number % 3, 900, source, digest, expiry, vector.tobytes()))
    return rows


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A gallery as the first version wrote it."""
    folder = tmp_path_factory.mktemp("old") / "people"
    folder.mkdir()
    connection = sqlite3.connect(folder / NAME)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        for statement in schema.FIRST_TABLES:
            connection.execute(statement)
        for key, value in old_meta().items():
            record = (key, json.dumps(value))
            connection.execute("INSERT INTO meta VALUES (?, ?, ?)", (*record, checksum(record)))
        for row in old_rows():
            marks = ", ".join("?" * 9)
            connection.execute(f"INSERT INTO people VALUES ({marks})", (*row, checksum(row)))
        connection.execute("UPDATE sqlite_sequence SET seq = 9")
    connection.close()
    (folder / "index.cache").write_bytes(b"of the first version")
    return folder


@pytest.fixture
def old(tmp_path, written):
    return shutil.copytree(written, tmp_path / "people")


def change(folder, statement):
    connection = sqlite3.connect(folder / NAME)
    with connection:
        connection.execute(statement)
    connection.close()


def test_nothing_is_lost(old):
    with Gallery.open(old) as gallery:
        assert gallery.verify() == ROWS
        rows = gallery.rows(EVERYTHING)
        found = [
            (r.row, r.person, r.camera, r.added, r.source, r.source_hash, r.expiry) for r in rows
        ]
        assert found == [row[:-1] for row in old_rows()]
        assert all((r.name, r.time, r.track, r.attributes) == ("", None, "", "{}") for r in rows)
        stored = gallery.store.vectors([row.row for row in rows])
        assert [v.tobytes() for v in stored] == [row[-1] for row in old_rows()]
        stats = gallery.stats()
        assert (stats.schema, stats.generation, stats.purpose) == (SCHEMA, 5, "lost children")
        assert (stats.pictures, stats.keep_days, stats.expired) == (False, None, 1)
        assert [line["action"] for line in gallery.store.history()] == ["migrate"]


def test_searches_adds_and_numbers_go_on(old):
    query = np.eye(DIMENSION)[4]
    with Gallery.open(old) as gallery:
        assert gallery.search(query, 9)[0].row == 4
        again = old_rows()[0]
        assert gallery.add_vectors([query], [again[1]], [again[2]], ["x"], [again[5]]) == 0
        assert gallery.add_vectors([query], ["new"], [1], ["new.jpg"], [bytes(32)]) == 1
        assert gallery.rows()[-1].row == 10, "9 was given once, and is not given again"


def test_it_happens_once(old):
    for _ in range(2):
        with Gallery.open(old) as gallery:
            assert gallery.stats().generation == 5


def test_a_damaged_row_is_named_and_the_old_gallery_stays(old):
    change(old, "UPDATE people SET camera = 7 WHERE row_id = 4")
    for _ in range(2):
        with pytest.raises(DamagedError, match="row 4 of table 'people'"):
            Gallery.open(old)
    change(old, "UPDATE people SET camera = 1 WHERE row_id = 4")
    with Gallery.open(old) as gallery:
        assert gallery.verify() == ROWS


def test_a_lost_row_is_named(old):
    change(old, "DELETE FROM people WHERE row_id = 4")
    with pytest.raises(DamagedError, match="4 of 5 rows"):
        Gallery.open(old)


@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_failure_at_any_statement_leaves_the_old_gallery(old, monkeypatch, after):
    count = [0]
    insert = migration.insert

    def failing(*arguments):
        count[0] += 1
        if count[0] > after:
            raise KeyboardInterrupt
        insert(*arguments)

    monkeypatch.setattr(migration, "insert", failing)
    with pytest.raises(KeyboardInterrupt):
        Gallery.open(old)
    monkeypatch.undo()
    with Gallery.open(old) as gallery:
        assert gallery.verify() == ROWS


KILLED = """
import os, signal, sys
from reid_attn.gallery import Gallery
from reid_attn.gallery.local import migration

write = migration.write_values
def kill(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
migration.write_values = kill
Gallery.open(sys.argv[1])
"""


def test_a_kill_before_the_end_leaves_the_old_gallery(old):
    done = subprocess.run([sys.executable, "-c", KILLED, str(old)], capture_output=True)
    assert done.returncode == -9, done.stderr
    with Gallery.open(old) as gallery:
        assert gallery.verify() == ROWS
        assert gallery.stats().generation == 5


def set_value(folder, key, value):
    """Write a record of `meta` as a version of the package would."""
    record = (key, json.dumps(value))
    connection = sqlite3.connect(folder / NAME)
    with connection:
        statement = "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"
        connection.execute(statement, (*record, checksum(record)))
    connection.close()


LATER = [
    lambda folder: None,
    lambda folder: set_value(folder, "colour", "red"),
    lambda folder: change(folder, "CREATE TABLE more (value TEXT)"),
]


@pytest.mark.parametrize("otherwise", LATER)
def test_a_later_version_is_refused(old, otherwise):
    Gallery.open(old).close()
    set_value(old, "schema", SCHEMA + 1)
    otherwise(old)
    with pytest.raises(MismatchError, match="later version"):
        Gallery.open(old)


def test_a_gallery_that_became_a_later_version_meanwhile_is_not_written_to(old):
    with Gallery.open(old) as gallery:
        gallery.rows()
        set_value(old, "schema", SCHEMA + 1)
        with pytest.raises(MismatchError, match="later version"):
            gallery.remove([1])
    set_value(old, "schema", SCHEMA)
    with Gallery.open(old) as gallery:
        assert gallery.verify() == ROWS


@pytest.mark.parametrize("version", [2, 3])
def test_a_version_gets_what_later_ones_added(tmp_path, empty, version):
    folder = shutil.copytree(empty, tmp_path / "people")
    connection = sqlite3.connect(folder / NAME)
    with connection:
        for later in range(version + 1, SCHEMA + 1):
            for statement in schema.ADDED[later]:
                kind, name = statement.split()[1:3]
                connection.execute(f"DROP {kind} IF EXISTS {name}")
    connection.close()
    set_value(folder, "schema", version)
    with Gallery.open(folder) as gallery:
        assert (gallery.stats().schema, gallery.store.corrections()) == (SCHEMA, [])
        assert [line["action"] for line in gallery.store.history()] == ["create", "migrate"]
        assert gallery.verify() == 0
