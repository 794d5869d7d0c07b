"""Where receipts go: refused while nothing is deleted, and never lost."""

import json

import numpy as np
import pytest

from reid_attn import storage
from reid_attn.errors import DiskError, LockedError, UsageError
from reid_attn.gallery import Gallery, audit, privacy

DIMENSION = 8


@pytest.fixture
def people(folder):
    """Two persons of one row each."""
    with Gallery.open(folder) as gallery:
        digests = [bytes([number]) * 32 for number in range(2)]
        gallery.add_vectors(np.eye(2, DIMENSION), ["anna", "bert"], [1, 1], ["a", "b"], digests)
    return folder


def occupied(path):
    path.write_bytes(b"of somebody")
    return path


def linked(path, target):
    path.symlink_to(target)
    return path


PLACES = {
    "folder": (UsageError, "exists already", lambda people, tmp: tmp),
    "gallery": (UsageError, "in the folder of the gallery", lambda people, tmp: people),
    "file": (UsageError, "exists already", lambda people, tmp: occupied(tmp / "note.txt")),
    "link": (UsageError, "exists already", lambda people, tmp: linked(tmp / "link", "nowhere")),
    "database": (UsageError, "takes receipts", lambda people, tmp: people / "gallery.sqlite"),
    "beside the database": (UsageError, "takes receipts", lambda people, tmp: people / "x.json"),
    "through a link": (
        UsageError,
        "takes receipts",
        lambda people, tmp: linked(tmp / "elsewhere", people) / "index.cache",
    ),
    "no folder": (DiskError, "could not write", lambda people, tmp: "/proc/nope/x.json"),
    "below a file": (DiskError, "could not write", lambda p, tmp: occupied(tmp / "f") / "x.json"),
    "long name": (UsageError, "choose a shorter name", lambda people, tmp: tmp / ("x" * 256)),
}


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("expire", [False, True])
def test_a_place_for_no_receipt_is_refused_before_anything_is_deleted(
    people, tmp_path, kind, expire
):
    error, told, make = PLACES[kind]
    place = make(people, tmp_path)
    with Gallery.open(people) as gallery:
        before = gallery.stats().generation
        with pytest.raises(error, match=told):
            gallery.expire(place) if expire else gallery.forget("anna", place)
        assert (len(gallery), gallery.verify(), gallery.stats().generation) == (2, 2, before)
    if kind == "file":
        assert place.read_bytes() == b"of somebody"


@pytest.mark.parametrize("name", ["anna.json", "people/receipts/anna.json", "new/folder/anna.json"])
def test_any_other_place_takes_one(people, tmp_path, name):
    with Gallery.open(people) as gallery:
        receipt = gallery.forget("anna", tmp_path / name)
    assert json.loads((tmp_path / name).read_text()) == receipt


def failing(what, count):
    """`what`, which fails when it is called for the `count`th time."""
    left = [count]

    def act(*given):
        left[0] -= 1
        if not left[0]:
            raise DiskError("it is full") from OSError(28, "No space left on device")
        return what(*given)

    return act


@pytest.mark.parametrize("what", ["file", "log"])
def test_a_receipt_that_cannot_be_written_after_all_is_told(people, tmp_path, monkeypatch, what):
    if what == "file":
        monkeypatch.setattr(storage, "write_text", failing(storage.write_text, 1))
    path = tmp_path / "anna.json"
    with Gallery.open(people) as gallery:
        if what == "log":
            monkeypatch.setattr(gallery.store, "record", failing(gallery.store.record, 1))
        with pytest.raises(DiskError, match=r"erasure is done.*\(.*No space left on") as caught:
            gallery.forget("anna", path)
        assert [row.person for row in gallery.rows()] == ["bert"]
    told, _, text = str(caught.value).partition("\n")
    assert "run the command again" not in told
    receipt = json.loads(text)
    assert (receipt["rows"], receipt["pieces_found_after"]) == ([1], 0)
    if what == "log":
        assert path.read_text() == text


def test_no_receipt_replaces_another(people):
    with Gallery.open(people) as gallery:
        gallery.forget("anna")
        for _ in range(3):
            assert gallery.expire()["rows"] == []
    names = sorted(path.name.split("-")[0] for path in (people / privacy.RECEIPTS).iterdir())
    assert names == ["expire"] * 3 + ["forget"]
    digests = {storage.sha256(p.read_bytes()) for p in (people / privacy.RECEIPTS).iterdir()}
    assert {
        line["sha256"] for line in audit.lines(people) if line["action"] == "receipt"
    } == digests


def test_a_refused_erasure_leaves_no_receipt(people, tmp_path, monkeypatch):
    def refuse(*_):
        raise LockedError("somebody is reading")

    with Gallery.open(people) as gallery:
        monkeypatch.setattr(gallery.store, "erase", refuse)
        for place in (None, tmp_path / "anna.json"):
            with pytest.raises(LockedError):
                gallery.forget("anna", place)
    assert not (tmp_path / "anna.json").exists()
    assert list((people / privacy.RECEIPTS).iterdir()) == []
