"""Making and opening: what fits together, and what is refused before anything is read."""

import os
import platform
import re
import sqlite3

import numpy as np
import pytest

from reid_attn import errors
from reid_attn.errors import DamagedError, DiskError, LockedError, MismatchError, UsageError
from reid_attn.gallery import Gallery
from reid_attn.gallery.local import connection as link
from reid_attn.gallery.local import records
from reid_attn.gallery.local.changes import write
from reid_attn.gallery.local.connection import NAME
from reid_attn.gallery.record import SCHEMA, checksum

DIMENSION = 8


def change_by_hand(folder, statement, *values):
    """Change the database past the gallery, which must be closed."""
    connection = sqlite3.connect(folder / NAME)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_a_gallery_is_made_once(folder):
    with pytest.raises(UsageError, match=r"there is a gallery in .* already"):
        Gallery.create(folder, fingerprint="model-b", dimension=4)
    with Gallery.open(folder) as gallery:
        assert gallery.stats().fingerprint == "model-a"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dimension": 0}, "a gallery needs a dimension of at least 1, not 0"),
        ({"dimension": 4, "keep_days": 0}, "pictures cannot be kept for 0 days: give 1 to 36,525"),
    ],
)
def test_refuses_a_gallery_that_can_hold_nothing(tmp_path, options, sentence):
    with pytest.raises(UsageError, match=f"^{sentence}"):
        Gallery.create(tmp_path / "people", fingerprint="model-a", **options)
    assert not (tmp_path / "people").exists()


@pytest.mark.parametrize(
    "options",
    [{"keep_days": 36_526}, {"keep_days": 10**20}, {"until": -1}, {"until": 1e300}],
)
def test_refuses_an_end_that_no_calendar_has(tmp_path, options):
    with pytest.raises(UsageError, match=r"give 1 to 36,525|from 1970 to 9999"):
        Gallery.create(tmp_path / "people", fingerprint="model-a", dimension=4, **options)
    assert not (tmp_path / "people").exists()


@pytest.mark.parametrize("options", [{"keep_days": 36_525}, {"until": "9999-12-31T23:59:59"}])
def test_the_latest_end_can_be_used(tmp_path, options):
    Gallery.create(tmp_path / "people", fingerprint="model-a", dimension=8, **options)
    with Gallery.open(tmp_path / "people") as gallery:
        gallery.add_vectors(np.ones((1, 8)), ["a"], [1], ["a"], [bytes(32)])
        assert gallery.verify() == len(gallery.rows()) == 1


def test_a_folder_without_gallery_stays_as_it_was(tmp_path):
    with pytest.raises(UsageError, match="gallery create"):
        Gallery.open(tmp_path / "nothing")
    with pytest.raises(UsageError, match="gallery create"):
        Gallery.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_creation_that_was_killed_can_be_repeated(tmp_path):
    (tmp_path / NAME).touch()
    with pytest.raises(UsageError, match="gallery create"):
        Gallery.open(tmp_path)
    Gallery.create(tmp_path, fingerprint="model-a", dimension=DIMENSION)
    with Gallery.open(tmp_path) as gallery:
        assert len(gallery) == 0


def test_odd_folder_names(tmp_path, embedder, pictures):
    folder = tmp_path / "a?mode=memory&b#c%41 é\udcff"
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION, pictures=False)
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures, list("aabbcc"), [1] * 6)
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 6
    assert (folder / NAME).exists()


def test_only_its_own_model_is_accepted(tmp_path, make_embedder):
    models = [make_embedder(name, size) for name in ("a", "b", "c") for size in (4, 8)]
    for number, made_by in enumerate(models):
        folder = tmp_path / str(number)
        Gallery.create(
            folder, fingerprint=made_by.fingerprint, dimension=made_by.dimension, run="runs/x"
        )
        for embedder in models:
            if embedder is made_by:
                Gallery.open(folder, embedder).close()
                continue
            with pytest.raises(MismatchError, match=r"made by the model .*runs/x") as caught:
                Gallery.open(folder, embedder)
            assert embedder.fingerprint in str(caught.value)
            assert made_by.fingerprint in str(caught.value)


def test_figures(tmp_path, embedder, pictures):
    folder = tmp_path / "people"
    options = {"purpose": "test", "controller": "me", "run": "runs/a", "keep_days": 9}
    Gallery.create(folder, fingerprint="model-a", dimension=8, pictures=False, **options)
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures, list("aabbcc"), [1, 2, 1, 2, 1, 2])
        stats = gallery.stats()
        gallery.search(pictures[0])
    assert (stats.rows, stats.persons, stats.cameras, stats.dimension) == (6, 3, 2, 8)
    assert (stats.fingerprint, stats.generation, stats.schema) == ("model-a", 2, SCHEMA)
    assert (stats.purpose, stats.run, stats.keep_days) == ("test", "runs/a", 9)
    assert stats.created.endswith("+00:00")
    assert (stats.cache, stats.rebuild_seconds) == ("absent", None)
    with Gallery.open(folder) as gallery:
        stats = gallery.stats()
        assert stats.cache == "fresh"
        assert stats.rebuild_seconds > 0
        assert (stats.controller, stats.until, stats.pictures) == ("me", None, False)
        assert (stats.tracks, stats.expired, stats.erased, stats.threshold) == (0, 0, 0, None)
        assert stats.bytes == sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("name", [name for name, _, _ in link.PRAGMAS])
def test_a_setting_that_does_not_read_back_is_an_error(folder, monkeypatch, name):
    changed = [(n, v, "other" if n == name else e) for n, v, e in link.PRAGMAS]
    monkeypatch.setattr(link, "PRAGMAS", changed)
    with pytest.raises(DiskError, match=f"SQLite's {name} is"):
        Gallery.open(folder)


def test_the_settings_of_a_connection(folder):
    """Written out once more: a changed list must not pass by agreeing with itself."""
    with Gallery.open(folder) as gallery:
        value = gallery.store._connection.value
        assert value("PRAGMA journal_mode") == "wal"
        assert (value("PRAGMA synchronous"), value("PRAGMA secure_delete")) == (2, 1)
        assert (value("PRAGMA temp_store"), value("PRAGMA mmap_size")) == (2, 0)
        assert (value("PRAGMA trusted_schema"), value("PRAGMA cell_size_check")) == (0, 1)
        assert value("PRAGMA foreign_keys") == 1
        assert value("PRAGMA busy_timeout") == link.BUSY_SECONDS * 1000


def test_an_old_sqlite_is_named(folder, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(UsageError, match=r"needs 3\.37 or newer"):
        Gallery.open(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER quiet AFTER INSERT ON people BEGIN DELETE FROM people; END",
        "CREATE VIEW names AS SELECT person FROM people",
        "CREATE TABLE more (value TEXT)",
        "CREATE INDEX faster ON people (person)",
        "DROP TABLE refused",
    ],
)
def test_another_schema_is_refused(folder, statement):
    change_by_hand(folder, statement)
    with pytest.raises(DamagedError, match="the schema"):
        Gallery.open(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '99' WHERE key = 'generation'",
        "UPDATE meta SET value = CAST(x'ff' AS TEXT) WHERE key = 'purpose'",
        "UPDATE meta SET key = 'x' WHERE key = 'purpose'",
        "DELETE FROM meta WHERE key = 'rows'",
    ],
)
def test_a_changed_entry_about_the_gallery_is_refused(folder, statement):
    change_by_hand(folder, statement)
    with pytest.raises(DamagedError, match="'meta'"):
        Gallery.open(folder)


def test_an_entry_too_many_is_refused(folder):
    sound = checksum(("more", "1"))
    change_by_hand(folder, "INSERT INTO meta VALUES ('more', '1', ?)", sound)
    with pytest.raises(DamagedError, match="table 'meta'"):
        Gallery.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        "person = 'person 3'",
        "person = CAST(x'ff' AS TEXT)",
        "name = 'x'",
        "camera = camera + 1",
        "time = 1.5",
        "track = 'x'",
        "key = x'00'",
        "attributes = '{}x'",
        "added = added + 1",
        "thumbnail_hash = x'00'",
        "vector_hash = x'00'",
        "changed = 7",
        "source = x'00'",
        "source_hash = x'00'",
        "expiry = 99999999999",
        "checksum = zeroblob(32)",
        '"row" = 77',
    ],
)
def test_a_change_in_any_column_is_found_and_the_row_named(folder, add_random, change):
    vectors = add_random(folder, 6)
    with Gallery.open(folder) as gallery:
        gallery.search(vectors[0])
    change_by_hand(folder, f'UPDATE people SET {change} WHERE "row" = 3')
    row = 77 if "77" in change else 3
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedError, match=f"row {row} of table 'people'"):
            gallery.verify()
        with pytest.raises(DamagedError, match=f"row {row} of table 'people'"):
            gallery.search(vectors[2], 1)


def test_a_lost_row_is_found(folder, add_random):
    vectors = add_random(folder, 6)
    change_by_hand(folder, 'DELETE FROM people WHERE "row" = 3')
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedError, match="5 of 6 rows"):
            gallery.verify()
        with pytest.raises(DamagedError, match="5 of 6 rows"):
            gallery.search(vectors[0], 1)


def test_a_file_that_is_no_database(folder):
    (folder / NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(DamagedError, match="file is not a database"):
        Gallery.open(folder)


def test_a_damage_that_sqlite_cannot_put_into_words(folder):
    """Its message quotes the name of the broken table, which is no UTF-8 any more."""
    content = (folder / NAME).read_bytes().replace(b"tablepeople", b"table\xcfeople")
    (folder / NAME).write_bytes(content.replace(b"CREATE TABLE people", b"CREATE TABLX people"))
    with pytest.raises(DamagedError, match="is damaged"):
        Gallery.open(folder)


def test_a_structure_that_is_broken_where_opening_does_not_read(folder, add_random):
    add_random(folder, 200)
    with (folder / NAME).open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))
    with pytest.raises(DamagedError, match="the structure of the file"):
        Gallery.open(folder)


def test_a_writer_that_waits_too_long_is_told_who_wrote_last(folder, monkeypatch):
    monkeypatch.setattr(link, "BUSY_SECONDS", 0)
    writer = f"last written by process {os.getpid()} on {platform.node()}"
    with (
        Gallery.open(folder) as gallery,
        Gallery.open(folder) as other,
        other.store._connection.transaction("IMMEDIATE"),
    ):
        with pytest.raises(LockedError, match=re.escape(writer)):
            gallery.add_vectors(np.ones((1, DIMENSION)), ["a"], [1], ["a"], [bytes(32)])
        assert len(gallery) == 0


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("database is locked", "LockedError"),
        ("database table is locked", "LockedError"),
        ("database or disk is full", "DiskError"),
        ("disk I/O error", "DiskError"),
        ("attempt to write a readonly database", "DiskError"),
        ("unable to open database file", "DiskError"),
        ("database disk image is malformed", "DamagedError"),
        ("file is not a database", "DamagedError"),
    ],
)
def test_what_sqlite_says_is_explained_and_the_change_undone(folder, text, family):
    with Gallery.open(folder) as gallery:
        database = gallery.store._connection
        with (
            pytest.raises(getattr(errors, family), match=re.escape(NAME)),
            database.transaction("IMMEDIATE"),
        ):
            write(database, records.read_meta(database), "test", {})
            raise sqlite3.OperationalError(text)
        assert gallery.stats().generation == 1


def test_an_interrupted_change_is_undone(folder):
    with Gallery.open(folder) as gallery:
        database = gallery.store._connection
        with pytest.raises(KeyboardInterrupt), database.transaction("IMMEDIATE"):
            write(database, records.read_meta(database), "test", {})
            raise KeyboardInterrupt
        assert gallery.stats().generation == 1


def test_a_large_file_opens_without_being_read_and_its_damage_is_found_later(
    folder, add_random, monkeypatch
):
    vectors = add_random(folder, 200)
    with (folder / NAME).open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))
    monkeypatch.setattr(link, "CHECKED_BYTES", 4096)
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedError):
            gallery.search(vectors[0], 1)
        with pytest.raises(DamagedError):
            gallery.verify()


def test_a_path_that_is_too_long_for_sqlite_is_no_full_disk(tmp_path):
    folder = tmp_path.joinpath(*["long" * 50] * 3)
    with pytest.raises(UsageError, match="no file whose whole path has more than 504 bytes"):
        Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION)
