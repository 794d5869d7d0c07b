"""Adding: all or none, each picture once, names as they come."""

import enum
import os
import unicodedata
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_attn.errors import DataError, UsageError
from reid_attn.gallery import Gallery, where
from reid_attn.gallery import pictures as pictures_room
from reid_attn.gallery.local import records
from reid_attn.gallery.sightings import Sighting, read_tracks

DIMENSION = 8


def add_one(gallery, person="anna", camera=1, source="a.jpg", digest=bytes(32)):
    return gallery.add_vectors(np.ones((1, DIMENSION)), [person], [camera], [source], [digest])


def test_counts_what_was_added_and_skips_what_is_there(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        assert gallery.add(pictures[:4], list("aabb"), [1, 2, 1, 2]) == 4
        assert gallery.add(pictures, list("aabbcc"), [1, 2, 1, 2, 1, 2]) == 2
        assert (len(gallery), embedder.embedded) == (6, 6)


def test_a_skipped_add_changes_nothing(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures, list("aabbcc"), [1] * 6)
        before = gallery.stats()
        assert gallery.add(pictures, list("aabbcc"), [1] * 6) == 0
        assert gallery.stats() == before


def test_a_new_picture_of_somebody_has_his_name(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures[:2], ["anna", "bert"], [1, 1])
        gallery.rename("anna", "Anna")
        gallery.add(pictures[2:4], ["anna", None], [2, 2])
        assert [row.name for row in gallery.rows()] == ["Anna", "", "Anna", ""]


def test_a_name_in_a_table_is_for_who_has_none(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures[:2], ["anna", "bert"], [1, 1])
        gallery.rename("anna", "Anna")
        names = {"anna": "Annie", "bert": "Bert"}
        sightings = [
            Sighting(picture=picture, camera=2, person=person, name=name)
            for picture, (person, name) in zip(pictures[2:], names.items(), strict=False)
        ]
        for _ in range(2):
            gallery.add_sightings(sightings)
            assert [row.name for row in gallery.rows()] == ["Anna", "Bert"] * 2
        assert [correction.action for correction in gallery.undoable()] == ["rename", "rename"]


def test_one_picture_may_show_several_persons_and_is_kept_once_for_each(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        assert gallery.add([pictures[0]] * 3, ["a", "b", "a"], [1, 1, 1]) == 2
        assert gallery.add([pictures[0]], ["a"], [2]) == 1


def test_reports_progress_in_pieces(folder, embedder, pictures, monkeypatch):
    monkeypatch.setattr(pictures_room, "CHUNK", 4)
    seen = []
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures, list("aabbcc"), [1] * 6, seen.append)
        assert seen == [4, 2]
        assert [gallery.search(p, 1)[0].source for p in pictures] == [str(p) for p in pictures]


def test_what_is_no_picture_from_outside_is_not_read(folder, embedder, tmp_path):
    """A device never ends, a pipe waits for somebody, and a large file fills the memory."""
    pipe, large = tmp_path / "pipe.jpg", tmp_path / "large.jpg"
    os.mkfifo(pipe)
    large.touch()
    os.truncate(large, 2**40)
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(DataError) as caught:
            gallery.add(["/dev/zero", pipe, large], ["a"] * 3, [1] * 3)
        told = str(caught.value)
        for sentence in ("/dev/zero is not a file", "pipe.jpg is not a file", "is larger than 20"):
            assert sentence in told
        assert len(gallery) == 0


def test_missing_pictures_are_all_named_and_none_is_added(folder, embedder, pictures, tmp_path):
    missing = [tmp_path / "gone.jpg", tmp_path / "lost.jpg"]
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(DataError, match=r"2 of 8 .*(?s:.)*gone\.jpg(?s:.)*lost\.jpg"):
            gallery.add([*pictures, *missing], ["a"] * 8, [1] * 8)
        assert (len(gallery), embedder.embedded) == (0, 0)


def test_undecodable_pictures_are_all_named_and_none_is_added(
    folder, embedder, pictures, monkeypatch
):
    monkeypatch.setattr(pictures_room, "CHUNK", 2)
    for number in (1, 4, 5):
        pictures[number].write_bytes(b"bad")
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(DataError, match=r"3 of 6 .*(?s:.)*1\.jpg(?s:.)*4\.jpg(?s:.)*5\.jpg"):
            gallery.add(pictures, list("aabbcc"), [1] * 6)
        assert len(gallery) == 0


def test_a_refusal_that_no_single_picture_explains_is_told(folder, make_embedder, pictures):
    class OneAtATime(type(make_embedder())):
        def __call__(self, paths):
            if len(paths) > 1:
                raise DataError("too many at once")
            return super().__call__(paths)

    with Gallery.open(folder, OneAtATime()) as gallery:
        with pytest.raises(DataError, match="too many at once"):
            gallery.add(pictures, list("aabbcc"), [1] * 6)
        assert len(gallery) == 0


@pytest.mark.parametrize("value", [0, np.nan, np.inf, 1e39])
def test_one_vector_without_direction_refuses_all(folder, value):
    vectors = np.ones((3, DIMENSION))
    vectors[1] = value
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match="the first is number 2"):
            gallery.add_vectors(vectors, ["a"] * 3, [1] * 3, ["a"] * 3, [bytes(32)] * 3)
        assert len(gallery) == 0


def test_very_small_and_very_large_vectors_are_found(folder):
    vectors = np.stack([np.eye(DIMENSION)[0] * 1e-40, np.eye(DIMENSION)[1] * 3e38])
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(vectors, ["small", "large"], [1, 1], ["a", "b"], [bytes(32)] * 2)
        for vector, person in zip(vectors, ["small", "large"], strict=True):
            (hit,) = gallery.search(vector, 1)
            assert (hit.person, hit.score) == (person, pytest.approx(1, abs=1e-6))


def test_every_column_must_be_of_one_length(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(UsageError, match="6 pictures were given with 1 persons"):
            gallery.add(pictures, ["a"], [1] * 6)
        with pytest.raises(UsageError, match="2 pictures were given with 3 sources"):
            gallery.add_vectors(np.ones((2, 8)), ["a"] * 2, [1] * 2, ["a"] * 3, [bytes(32)] * 2)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("pictures", lambda g: g.add("b.jpg", persons=["b"], cameras=[1])),
        ("persons", lambda g: g.add(["b.jpg"], persons="b", cameras=[1])),
        ("sources", lambda g: g.add_vectors(np.ones((1, 8)), ["a"], [1], "a", [bytes(32)])),
        ("queries", lambda g: g.search_all("b.jpg")),
        ("persons", lambda _: where(persons="anna")),
    ],
)
def test_a_text_is_not_taken_letter_by_letter(folder, embedder, name, act):
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(UsageError, match=f"^{name} is a single str: give a list"):
            act(gallery)
        assert len(gallery) == 0


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1),
        min_size=30,
        max_size=90,
        unique_by=lambda name: unicodedata.normalize("NFC", name),
    )
)
def test_any_name_comes_back(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names") / "people"
    Gallery.create(folder, fingerprint="model-a", dimension=len(names))
    vectors, digests = np.eye(len(names)), [sha256(name.encode()).digest() for name in names]
    with Gallery.open(folder) as gallery:
        assert gallery.add_vectors(vectors, names, range(len(names)), names, digests) == len(names)
        assert gallery.verify() == len(names)
        for vector, name in zip(vectors, names, strict=True):
            hit = gallery.search(vector, 1)[0]
            assert hit.person == unicodedata.normalize("NFC", name)
            assert hit.source == name


@pytest.mark.parametrize("person", ["", os.fsdecode(b"\xff"), "\ud800", 7])
def test_refuses_a_name_that_cannot_be_stored(folder, person):
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match="the person"):
            add_one(gallery, person)
        assert len(gallery) == 0


def test_both_forms_of_an_accent_are_one_person(folder):
    with Gallery.open(folder) as gallery:
        assert [add_one(gallery, "Ren\u00e9"), add_one(gallery, "Rene\u0301")] == [1, 0]


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", "名.jpg".encode(), b"a\nb.jpg", b"-rf", b"[red].jpg", b"e" * 255]
)
def test_any_file_name_comes_back(folder, embedder, tmp_path, name):
    picture = tmp_path / os.fsdecode(name)
    picture.write_bytes(b"picture")
    with Gallery.open(folder, embedder) as gallery:
        gallery.add([picture], ["anna"], [1])
        assert os.fsencode(gallery.search(picture, 1)[0].source) == os.fsencode(picture)


def test_a_negative_camera_is_none(folder, embedder, pictures, tmp_path):
    sentence = "the camera -1 cannot be stored: cameras are numbered from 0 on"
    with Gallery.open(folder, embedder) as gallery:
        with pytest.raises(DataError, match=f"^{sentence}$"):
            add_one(gallery, camera=-1)
        with pytest.raises(DataError, match=f"^{sentence}$"):
            gallery.add(pictures, ["a"] * 6, [0, 1, 2, -1, 3, 4])
        (tmp_path / "tracks.csv").write_text("path,camera\n0.jpg,1\n1.jpg,-1\n")
        with pytest.raises(DataError, match=f"line 3: {sentence}"):
            read_tracks(tmp_path / "tracks.csv")
        assert add_one(gallery, camera=0) == 1
        (row,) = gallery.rows(where(other_cameras_than=[-1]))  # which earlier versions let in
        assert row.camera == 0


@pytest.mark.parametrize("camera", [2**63, -(2**63) - 1, 1.5, "1"])
def test_refuses_a_camera_that_cannot_be_stored(folder, camera):
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match="the camera"):
            add_one(gallery, camera=camera)
        assert len(gallery) == 0


def test_numpy_numbers_are_cameras(folder):
    with Gallery.open(folder) as gallery:
        assert add_one(gallery, camera=np.int64(3)) == 1
        assert gallery.search(np.ones(DIMENSION), 1)[0].camera == 3


class Person(str, enum.Enum):
    """A text with a type of its own."""

    ANNA = "anna"


@pytest.mark.parametrize("text", [np.str_("anna"), Person.ANNA])
def test_texts_with_a_type_of_their_own_come_back_plain(folder, text):
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            np.ones((1, DIMENSION)),
            [text],
            [True],
            [np.str_("a.jpg")],
            np.array([bytes(range(1, 33))]),
            times=np.array([3.0]),
            tracks=[text],
            attributes=[{text: text}],
        )
    with Gallery.open(folder) as gallery:
        (row,) = gallery.rows(where(persons=[text], attributes={text: text}))
        known = (row.person, row.name, row.track, row.attributes)
        assert known == ("anna", "", "anna", '{"anna":"anna"}')
        assert (row.camera, row.source, row.time) == (1, b"a.jpg", 3.0)
        assert gallery.verify() == 1
        assert add_one(gallery, text) == 1


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("tracks", 7, "the track 7"),
        ("tracks", "\udc80", "the track"),
        ("sources", 7, "the source 7"),
        ("source_hashes", b"", "must be a SHA-256 digest"),
        ("source_hashes", bytes(31), "must be a SHA-256 digest"),
        ("source_hashes", "00" * 32, "must be a SHA-256 digest"),
    ],
)
def test_refuses_what_would_not_come_back(folder, column, value, sentence):
    columns = {
        "persons": ["anna"],
        "cameras": [1],
        "sources": ["a.jpg"],
        "source_hashes": [bytes(32)],
        "tracks": ["1"],
    }
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match=sentence):
            gallery.add_vectors(np.ones((1, DIMENSION)), **{**columns, column: [value]})
        assert (len(gallery), gallery.stats().generation) == (0, 1)


def test_after_its_end_a_gallery_takes_nothing(tmp_path, monkeypatch):
    Gallery.create(tmp_path / "a", fingerprint="a", dimension=DIMENSION, until="2100-01-01")
    with Gallery.open(tmp_path / "a") as gallery:
        assert add_one(gallery, "anna") == 1
        monkeypatch.setattr(records, "now", lambda: 4_102_444_800)
        for _ in range(2):
            with pytest.raises(UsageError, match=r"ended at 2100-01-01T00:00:00\+00:00"):
                add_one(gallery, "anna")
        assert len(gallery) == 1
        assert gallery.verify() == 1
