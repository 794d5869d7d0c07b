"""A gallery for another model: all vectors at once, from sources or thumbnails, or none."""

import hashlib
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from reid_attn.data.images import encode_jpeg
from reid_attn.errors import DamagedError, DataError, MismatchError, UsageError
from reid_attn.gallery import Gallery, Sighting
from reid_attn.gallery.filters import EVERYTHING
from reid_attn.gallery.local.connection import NAME

COUNT = 5


class Model:
    """A vector drawn by name and content; stops when told to."""

    def __init__(self, name, dimension):
        self.fingerprint, self.dimension = name, dimension
        self.embedded = 0
        self.stop_at = None

    def __call__(self, pictures):
        contents = [p if isinstance(p, bytes) else p.read_bytes() for p in pictures]
        if self.stop_at is not None and self.embedded + len(contents) > self.stop_at:
            raise KeyboardInterrupt
        self.embedded += len(contents)
        return np.stack([self.vector(content) for content in contents])

    def vector(self, content):
        seed = hashlib.sha256(self.fingerprint.encode() + content).digest()
        row = np.random.default_rng(list(seed)).normal(size=self.dimension)
        return (row / np.linalg.norm(row)).astype(np.float32)


@pytest.fixture
def old():
    return Model("old", 8)


@pytest.fixture
def new():
    return Model("new", 12)


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(COUNT)]
    for path in paths:
        pixels = generator.integers(0, 256, (40, 20, 3)).astype(np.uint8)
        path.write_bytes(encode_jpeg(pixels))
    return paths


@pytest.fixture
def kept():
    """Whether thumbnails are."""
    return True


@pytest.fixture
def folder(tmp_path, pictures, old, kept):
    folder = tmp_path / "people"
    made = {"fingerprint": "old", "dimension": 8, "run": "runs/old", "pictures": kept}
    Gallery.create(folder, **made)
    with Gallery.open(folder, old) as gallery:
        gallery.add(pictures, ["anna", "anna", "bert", None, None], [1, 2, 1, 2, 3])
        gallery.rename("anna", "Anna")
        gallery.search(pictures[0])  # which makes the caches that must not survive
    return folder


def test_all_that_is_known_stays(folder, pictures, new, measured):
    with Gallery.open(folder) as gallery:
        gallery.store.annotate("calibrate", calibration=measured(0.5))
        before = gallery.rows()
        found = gallery.reembed(new, "runs/new")
        assert found == {"sources": COUNT, "thumbnails": 0, "lost": []}
        after = gallery.rows()
        for one, other in zip(before, after, strict=True):
            for name in ("row", "person", "name", "camera", "source", "key", "expiry", "added"):
                assert getattr(one, name) == getattr(other, name)
        vectors = gallery.store.vectors([row.row for row in after])
        expected = [new.vector(path.read_bytes()) for path in pictures]
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
        assert gallery.search(pictures[3], 1)[0].row == 4
        assert gallery.verify() == COUNT
        stats = gallery.stats()
        assert (stats.fingerprint, stats.dimension, stats.run) == ("new", 12, "runs/new")
        assert stats.threshold is None
        assert gallery.undo().action == "rename"
    with Gallery.open(folder, new) as gallery:
        assert gallery.search(pictures[2], 1)[0].row == 3
        assert [line["action"] for line in gallery.store.history()].count("reembed") == 1


def test_the_old_model_is_refused_from_then_on(folder, pictures, old, new):
    with Gallery.open(folder, old) as other, Gallery.open(folder) as gallery:
        other.search(pictures[0])
        gallery.reembed(new, "runs/new")
        with pytest.raises(MismatchError, match="was made by the model new"):
            other.search(pictures[0])
        with pytest.raises(MismatchError, match="was made by the model new"):
            other.add(pictures, ["x"] * COUNT, [1] * COUNT)
        assert [h.row for h in other.search(new.vector(pictures[1].read_bytes()), 1)] == [2]
    with pytest.raises(MismatchError, match="use the run it was made with"):
        Gallery.open(folder, old)


@pytest.mark.parametrize("kept", [True, False])
def test_where_sources_are_gone_thumbnails_serve_or_rows_are_lost(folder, pictures, new, kept):
    pictures[1].unlink()
    pictures[2].write_bytes(pictures[0].read_bytes())  # another picture of this name
    with Gallery.open(folder) as gallery:
        thumbnails = gallery.store.thumbnails([2, 3])
        if kept:
            found = gallery.reembed(new)
            assert found == {"sources": 3, "thumbnails": 2, "lost": []}
            expected = [new.vector(picture) for picture in thumbnails]
            np.testing.assert_allclose(gallery.store.vectors([2, 3]), expected, atol=1e-6)
            return
        generation = gallery.stats().generation
        with pytest.raises(DataError, match=r"2 of 5 rows of .* \(row 2; .*--drop-lost"):
            gallery.reembed(new)
        assert (new.embedded, gallery.stats().generation) == (0, generation)
        found = gallery.reembed(new, drop_lost=True)
        assert found == {"sources": 3, "thumbnails": 0, "lost": [2, 3]}
        assert [row.row for row in gallery.rows()] == [1, 4, 5]
        assert gallery.verify() == 3


def test_a_part_of_a_frame_comes_from_its_thumbnail(folder, pictures, old, new):
    sighting = Sighting(picture=pictures[0], camera=1, box=(2, 2, 10, 20))
    with Gallery.open(folder, old) as gallery:
        gallery.add_sightings([sighting])
        assert gallery.reembed(new)["thumbnails"] == 1


def test_an_interrupted_one_leaves_the_old_and_goes_on(folder, pictures, old, new, monkeypatch):
    monkeypatch.setattr("reid_attn.gallery.reembedding.CHUNK", 2)
    new.stop_at = 4
    with Gallery.open(folder, old) as gallery:
        with pytest.raises(KeyboardInterrupt):
            gallery.reembed(new)
        assert gallery.store.staged("new") == {1, 2, 3, 4}
        assert gallery.search(pictures[3], 1)[0].score == pytest.approx(1)
        assert gallery.verify() == COUNT
        gallery.remove([1])
    third = Model("third", 8)
    new.stop_at = None
    finished = []
    with Gallery.open(folder) as gallery:
        gallery.reembed(new, progress=finished.append)
        assert (new.embedded, finished) == (COUNT, [3, 1])
        assert gallery.store.staged("new") == set()
        assert gallery.verify() == COUNT - 1
        gallery.reembed(third)
        assert gallery.stats().fingerprint == "third"


KILLED = """
import os, signal, sys
import numpy as np
from reid_attn.gallery import Gallery
from reid_attn.gallery.local import staging

class Model:
    fingerprint, dimension = "new", 12
    def __call__(self, pictures):
        return np.eye(12, dtype=np.float32)[: len(pictures)]

write = staging.write
def kill(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
staging.write = kill
Gallery.open(sys.argv[1]).reembed(Model())
"""


def test_a_kill_in_the_switch_leaves_the_old_gallery(folder, pictures, old):
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], capture_output=True)
    assert done.returncode == -9, done.stderr
    with Gallery.open(folder, old) as gallery:
        assert gallery.stats().fingerprint == "old"
        assert gallery.search(pictures[3], 1)[0].row == 4
        assert gallery.store.staged("new") == {1, 2, 3, 4, 5}
        assert gallery.rows(EVERYTHING)[0].name == "Anna"


def test_rows_that_come_meanwhile_are_not_forgotten(folder, tmp_path, old, new):
    late = tmp_path / "late.jpg"
    late.write_bytes(encode_jpeg(np.zeros((40, 20, 3), np.uint8)))
    with Gallery.open(folder) as gallery:
        switch, calls = gallery.store.switch, []

        def slow(*arguments):
            if not calls:
                with Gallery.open(folder, old) as other:
                    other.add([late], ["late"], [7])
            calls.append(switch(*arguments))
            return calls[-1]

        gallery.store.switch = slow
        assert gallery.reembed(new)["sources"] == COUNT + 1
        assert calls == [False, True]
        assert gallery.search(late, 1)[0].person == "late"


def test_refusals(folder, old):
    with Gallery.open(folder) as gallery:
        with pytest.raises(UsageError, match="of this model already"):
            gallery.reembed(old)
        gallery.store.stage("new", {2: b"x" * 48, 99: b"y" * 48})
        assert gallery.store.staged("new") == {2}
    connection = sqlite3.connect(folder / NAME)
    with connection:
        connection.execute("UPDATE staged SET vector = zeroblob(48)")
    connection.close()
    with (
        Gallery.open(folder) as gallery,
        pytest.raises(DamagedError, match="the staged vector of row 2"),
    ):
        gallery.verify()


def test_what_was_staged_is_erased_as_well(folder):
    content = np.random.default_rng(1).bytes(48)
    with Gallery.open(folder) as gallery:
        gallery.store.stage("new", {1: content})
        gallery.forget("anna")
    everything = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert content[:32] not in everything


def test_only_a_folder_is_made_anew_in_place(folder, new):
    with Gallery.open(folder) as gallery:

        class Elsewhere:
            place = "milvus:people"

        gallery.store, store = Elsewhere(), gallery.store
        with pytest.raises(UsageError, match="milvus:people is not in a folder"):
            gallery.reembed(new)
        gallery.store = store


def test_a_damaged_staged_vector_is_not_switched_to(folder, new):
    with Gallery.open(folder) as gallery:
        gallery.store.stage("new", dict.fromkeys(range(1, COUNT + 1), b"x" * 48))
    connection = sqlite3.connect(folder / NAME)
    with connection:
        connection.execute('UPDATE staged SET vector = zeroblob(48) WHERE "row" = 3')
    connection.close()
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedError, match="the staged vector of row 3"):
            gallery.reembed(new)
        assert gallery.stats().fingerprint == "old"


@pytest.mark.parametrize("kept", [False])
def test_a_source_that_goes_while_it_is_needed(folder, pictures, new):
    with Gallery.open(folder) as gallery:
        staged = gallery.store.staged

        def slow(fingerprint):
            pictures[4].unlink()
            return staged(fingerprint)

        gallery.store.staged = slow
        with pytest.raises(DataError, match="was changed or removed meanwhile"):
            gallery.reembed(new)
        assert gallery.stats().fingerprint == "old"
