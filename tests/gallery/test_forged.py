"""A gallery from anywhere: what it holds is told as damage, and harms no file of the user."""

import contextlib
import json
import os
import sqlite3

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DataError, ReidError
from reid_attn.gallery import Gallery, audit, where
from reid_attn.gallery.local.connection import NAME
from reid_attn.gallery.record import checksum

PRECIOUS = b"precious data\n" * 5


@pytest.mark.parametrize(
    "name",
    [
        audit.NAME,
        audit.HEAD,
        *("gallery.sqlite" + end for end in ("", "-wal", "-shm", "-journal")),
        *("index.cache", ".index.cache.PID.tmp", "columns.cache", ".columns.cache.PID.tmp"),
        "receipts",
    ],
)
@pytest.mark.filterwarnings("ignore:the index will be built again")
def test_no_link_leads_a_writer_out_of_it(tmp_path, folder, add_random, name):
    vectors = add_random(folder, 4)
    victim, link = tmp_path / "victim.txt", folder / name.replace("PID", str(os.getpid()))
    victim.write_bytes(PRECIOUS)
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    for act in (lambda g: g.search(vectors[0], 1), lambda g: g.forget("person 1")):
        with contextlib.suppress(ReidError), Gallery.open(folder) as gallery:
            act(gallery)
        assert victim.read_bytes() == PRECIOUS


def forged(folder, forge):
    """Let `forge` change the database by hand, as somebody does who knows how it is written."""
    for cache in ("index.cache", "columns.cache"):
        (folder / cache).unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(folder / NAME)) as connection:
        forge(connection)
        connection.commit()
    return folder


def forge_meta(connection, key, text):
    record = (key, text, checksum((key, text)))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", record)


def forge_row(connection, vector=None, **changes):
    """Change the first row, with its checksums."""
    if vector is not None:
        connection.execute('UPDATE vectors SET vector = ? WHERE "row" = 1', (vector,))
        changes["vector_hash"] = checksum((vector,))
    found = connection.execute('SELECT * FROM people WHERE "row" = 1')
    names = [column[0] for column in found.description]
    columns = list({**dict(zip(names, found.fetchone(), strict=True)), **changes}.values())[:-1]
    marks = ", ".join("?" * len(names))
    connection.execute(f"REPLACE INTO people VALUES ({marks})", (*columns, checksum(columns)))


def used(folder, use):
    with Gallery.open(folder) as gallery:
        return use(gallery)


DEEP = "[" * 50_000
META = [
    *[("dimension", value) for value in ("x", -1, 0, 10**15, None, 8.0, True)],
    *[("keep_days", value) for value in ("x", 0, 10**30)],
    *[("until", value) for value in ("x", -(10**30), 10**30)],
    *[(key, value) for key in ("generation", "rows", "pid") for value in ("x", -5, 2**70, None)],
    *[("schema", value) for value in ("x", None, [4], 4.5)],
    *[("salt", value) for value in ("zz", "a", 5, None)],
    *[("fingerprint", value) for value in (5, None, "\udc80", "\ud800")],
    *[("distance", None), ("change", None), ("run", ["a"]), ("pictures", "no"), ("created", 1)],
    *[("calibration", value) for value in ({"bad": 1}, {}, [1], "x", 0, {"threshold": 0.5})],
]


@pytest.mark.parametrize(("key", "value"), META)
def test_a_state_that_no_gallery_has_is_damage(folder, key, value):
    forged(folder, lambda connection: forge_meta(connection, key, json.dumps(value)))
    with pytest.raises(DamagedError, match="table 'meta'"):
        Gallery.open(folder)


@pytest.mark.parametrize("text", ["no JSON", "", "{", DEEP, "1" * 5_000])
@pytest.mark.parametrize("key", ["purpose", "generation", "schema", "calibration"])
def test_a_state_that_is_no_json_is_damage(folder, key, text):
    forged(folder, lambda connection: forge_meta(connection, key, text))
    with pytest.raises(DamagedError, match="table 'meta'"):
        Gallery.open(folder)


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"x"', "true", "1" * 400, "null"])
def test_a_threshold_that_nobody_measured_is_damage(folder, measured, value):
    text = json.dumps(measured(0.25)).replace("0.25", value)
    forged(folder, lambda connection: forge_meta(connection, "calibration", text))
    with pytest.raises(DamagedError, match="table 'meta'"):
        Gallery.open(folder)


VECTORS = {
    "three bytes": b"abc",
    "empty": b"",
    "short": np.ones(7, "<f4").tobytes(),
    "long": np.ones(9, "<f4").tobytes(),
    "zero": bytes(32),
    "not a number": np.full(8, np.nan, "<f4").tobytes(),
    "one infinite": np.array([np.inf, *range(7)], "<f4").tobytes(),
    "too large": np.full(8, 3e38, "<f4").tobytes(),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_a_vector_that_no_gallery_has_is_damage(folder, add_random, kind):
    vectors = add_random(folder, 4)
    forged(folder, lambda connection: forge_row(connection, VECTORS[kind]))
    uses = (
        lambda gallery: gallery.search(1, 1),
        lambda gallery: gallery.search(vectors[2], 1),
        lambda gallery: gallery.verify(),
    )
    for use in uses:
        with pytest.raises(DamagedError, match="the vector of row 1"):
            used(folder, use)


def test_another_dimension_than_that_of_the_vectors_is_damage(folder, add_random):
    vectors = add_random(folder, 4)
    forged(folder, lambda connection: forge_meta(connection, "dimension", "7"))
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedError, match="damaged in 4 places"):
            gallery.verify()
        with pytest.raises(DamagedError, match="the vector of row 1"):
            gallery.search(vectors[0][:7], 1)
        with pytest.raises(DataError, match="do not fit a gallery of dimension 7"):
            gallery.search(vectors[0], 1)


@pytest.mark.parametrize("text", ["no JSON", "", "[1]", '["a"]', '"a"', "null", DEEP, "1" * 5_000])
def test_attributes_that_are_no_object_are_damage(folder, add_random, tmp_path, text):
    vectors = add_random(folder, 4)
    forged(folder, lambda connection: forge_row(connection, attributes=text))
    uses = (
        lambda gallery: gallery.search(vectors[0], 1),
        lambda gallery: gallery.rows(where(attributes={"a": 1})),
        lambda gallery: gallery.export("person 0", tmp_path / "export"),
        lambda gallery: gallery.verify(),
    )
    for use in uses:
        with pytest.raises(DamagedError, match=r"attributes .* no JSON object|row 1 of table"):
            used(folder, use)
    assert not (tmp_path / "export").exists()
