"""A tracker's table: every row becomes a sighting, or a sentence that says why not."""

import numpy as np
import pytest

from reid_attn.data.images import decode, encode_jpeg
from reid_attn.errors import DataError
from reid_attn.gallery import Gallery, Sighting, adding, where
from reid_attn.gallery.sightings import read_tracks

HEAD = "path,camera,track,time,x,y,width,height,person,colour,confidence\n"


@pytest.fixture
def frame(tmp_path):
    """A frame of 200×100 pixels with another colour every 50 pixels."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    for column in range(4):
        pixels[:, 50 * column : 50 * column + 50] = 60 * column
    (tmp_path / "frame.jpg").write_bytes(encode_jpeg(pixels, 100))
    return tmp_path / "frame.jpg"


def table(tmp_path, rows, head=HEAD):
    (tmp_path / "tracks.csv").write_text(head + rows, encoding="utf-8")
    return tmp_path / "tracks.csv"


class Mean:
    """The mean colour and the size of a picture, as a vector."""

    fingerprint, dimension = "mean", 3

    def __init__(self):
        self.seen = []

    def __call__(self, pictures):
        pixels = [decode(picture) for picture in pictures]
        self.seen += [p.shape[:2] for p in pixels]
        rows = np.array([[p.mean(), *p.shape[:2]] for p in pixels])
        return (rows / np.linalg.norm(rows, axis=1)[:, None]).astype(np.float32)


@pytest.fixture
def tracked(tmp_path):
    Gallery.create(tmp_path / "people", fingerprint="mean", dimension=3)
    return tmp_path / "people"


def test_every_column_arrives(tmp_path):
    file = table(
        tmp_path,
        "a.jpg,2,17,2026-05-01T12:00:00+02:00,1,2,30.4,40.6,anna,red,0.5\nsub/b.jpg,3,,,,,,,,,\n",
    )
    first, second = read_tracks(file)
    assert first == Sighting(
        picture=tmp_path / "a.jpg",
        camera=2,
        person="anna",
        time=1777629600.0,
        track="17",
        box=(1, 2, 30, 41),
        attributes={"colour": "red", "confidence": 0.5},
    )
    assert second == Sighting(picture=tmp_path / "sub/b.jpg", camera=3)


def test_boxes_are_cut_out_and_kept_apart(tmp_path, frame, tracked):
    rows = "".join(f"frame.jpg,1,{n},{n},{50 * n},0,50,100,,,\n" for n in range(4))
    sightings = read_tracks(table(tmp_path, rows + "frame.jpg,1,9,9,150,-20,100,100,,,\n"))
    embed = Mean()
    with Gallery.open(tracked, embed) as gallery:
        assert gallery.add_sightings(sightings) == 5
        assert embed.seen == [(100, 50)] * 4 + [(80, 50)]
        pictures = gallery.store.thumbnails([1, 2, 3, 4])
        assert [round(decode(p).mean()) for p in pictures] == [0, 60, 120, 180]
        rows = gallery.rows()
        assert len({row.source_hash for row in rows}) == 5
        assert [row.track for row in rows] == ["0", "1", "2", "3", "9"]
        assert {row.person for row in rows} == {""}


def test_the_same_table_again_adds_nothing(tmp_path, frame, tracked):
    sightings = read_tracks(table(tmp_path, "frame.jpg,1,7,1,0,0,50,100,,,\n"))
    with Gallery.open(tracked, Mean()) as gallery:
        assert [gallery.add_sightings(sightings) for _ in range(2)] == [1, 0]
        gallery.store.relabel({1: ("anna", "Anna")}, "identify")
        assert gallery.add_sightings(sightings) == 0, "whoever it is by now"
        moved = read_tracks(table(tmp_path, "frame.jpg,1,7,1,50,0,50,100,,,\n"))
        later = read_tracks(table(tmp_path, "frame.jpg,1,7,2,0,0,50,100,,,\n"))
        assert [gallery.add_sightings(more) for more in (moved, later)] == [1, 1]


def test_an_interrupted_add_keeps_its_parts_and_goes_on(tmp_path, frame, tracked, monkeypatch):
    monkeypatch.setattr(adding, "PART", 2)
    rows = "".join(f"frame.jpg,1,{n},{n},{n},0,50,100,,,\n" for n in range(7))
    sightings = read_tracks(table(tmp_path, rows))

    class Interrupted(Mean):
        def __call__(self, pictures):
            if len(self.seen) == 4:
                raise KeyboardInterrupt
            return super().__call__(pictures)

    with Gallery.open(tracked, Interrupted()) as gallery:
        with pytest.raises(KeyboardInterrupt):
            gallery.add_sightings(sightings)
        assert len(gallery) == 4
    embed, told = Mean(), []
    with Gallery.open(tracked, embed) as gallery:
        assert gallery.add_sightings(sightings, told.append) == 3
    assert (len(embed.seen), sum(told)) == (3, 7)


def test_a_bad_picture_costs_its_part_and_is_named(tmp_path, frame, tracked, monkeypatch):
    monkeypatch.setattr(adding, "PART", 2)
    rows = "".join(f"frame.jpg,1,{n},{n},{500 if n == 3 else n},0,50,100,,,\n" for n in range(5))
    sightings = read_tracks(table(tmp_path, rows))
    with Gallery.open(tracked, Mean()) as gallery:
        with pytest.raises(DataError, match=r"1 of 5 .* so 3 others were added:\n.*lies outside"):
            gallery.add_sightings(sightings)
        assert [row.track for row in gallery.rows()] == ["0", "1", "4"]


def test_times_and_attributes_filter(tmp_path, frame, tracked):
    rows = "frame.jpg,1,1,100,0,0,50,100,,red,1\nframe.jpg,2,1,200,50,0,50,100,,blue,1\n"
    with Gallery.open(tracked, Mean()) as gallery:
        gallery.add_sightings(read_tracks(table(tmp_path, rows)))
        found = gallery.search(frame, where=where(attributes={"colour": "red"}))
        assert [hit.row for hit in found] == [1]
        found = gallery.search(frame, where=where(since=150, attributes={"confidence": 1}))
        assert [hit.row for hit in found] == [2]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("a.jpg,x,,,,,,,,,\n", "line 2: the camera 'x' is not a whole number"),
        (",1,,,,,,,,,\n", "line 2: the path is missing"),
        ("a.jpg,1,,noon,,,,,,,\n", "line 2: 'noon' is not a moment"),
        ("a.jpg,1,,nan,,,,,,,\n", "is not a moment"),
        ("a.jpg,1,,,1,2,3,,,,\n", "the box 1, 2, 3,  is no x, y, width, height"),
        ("a.jpg,1,,,1,2,0,5,,,\n", "has no area"),
        ("a.jpg,1,,,inf,2,1,5,,,\n", "is no x, y"),
        ("a.jpg,1\n", "line 2 of .* has 2 cells for 11 columns"),
        ("", "no rows below its head"),
        ('a.jpg,1,",,,,,,,,\n', "not a CSV table"),
    ],
)
def test_refusals(tmp_path, rows, sentence):
    with pytest.raises(DataError, match=sentence):
        read_tracks(table(tmp_path, rows))


def test_a_name_needs_a_person(tmp_path):
    rows = table(tmp_path, "a.jpg,1,,Anna\n", "path,camera,person,name\n")
    with pytest.raises(DataError, match="line 2: the name 'Anna' is of no person: give the person"):
        read_tracks(rows)


def test_all_bad_rows_are_named_at_once(tmp_path):
    with pytest.raises(DataError, match=r"(?s)2 rows of .*line 2:.*line 4:"):
        read_tracks(table(tmp_path, "a,x,,,,,,,,,\nb,1,,,,,,,,,\nc,y,,,,,,,,,\n"))


@pytest.mark.parametrize("head", ["path,track\n", "camera\n", "\n"])
def test_a_missing_column_is_named(tmp_path, head):
    sentence = r"has no column '(path|camera)'" if head.strip() else "has no head: its first line"
    with pytest.raises(DataError, match=sentence):
        read_tracks(table(tmp_path, "a\n", head))


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("path,camera,\n", "column 3 of .* has no name"),
        (",path,camera\n", "column 1 of .* has no name"),
        ("path,camera,colour, colour\n", "more than one column 'colour'"),
        ("path,camera,path\n", "more than one column 'path'"),
    ],
)
def test_a_column_without_a_name_of_its_own_is_refused(tmp_path, head, sentence):
    with pytest.raises(DataError, match=sentence):
        read_tracks(table(tmp_path, "a.jpg,1,x,y\n", head))


def test_numbers_that_json_lacks_are_texts_in_a_table(tmp_path):
    text = "path,camera,a,b,c\nx.jpg,1,NaN,Infinity," + "[" * 100_000 + "\n"
    (sighting,) = read_tracks(table(tmp_path, text, ""))
    assert sighting.attributes == {"a": "NaN", "b": "Infinity", "c": "[" * 100_000}


def test_a_path_that_no_file_can_have_is_refused(tmp_path, tracked):
    nowhere = Sighting(picture=tmp_path / "a\0b.jpg", camera=1)
    with (
        Gallery.open(tracked, Mean()) as gallery,
        pytest.raises(DataError, match=r"cannot be read .*null byte"),
    ):
        gallery.add_sightings([nowhere])


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "tracks.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_tracks(tmp_path / "tracks.csv")


def test_what_is_known_of_a_picture_is_stored_plain(tracked, frame):
    known = {"person": np.str_("anna"), "name": np.str_("Anna"), "track": np.str_("7")}
    box = tuple(np.array([0, 0, 60, 50]))
    with Gallery.open(tracked, Mean()) as gallery:
        gallery.add_sightings([Sighting(picture=frame, camera=np.int64(1), box=box, **known)])
        (row,) = gallery.rows()
        assert (row.person, row.name, row.track) == ("anna", "Anna", "7")
        plain = Sighting(picture=frame, camera=1, person="anna", track="7", box=(0, 0, 60, 50))
        assert gallery.add_sightings([plain]) == 0
        assert gallery.verify() == 1


@pytest.mark.parametrize("field", [{"track": 7}, {"box": (0, 0, 1.5, 1)}, {"box": (1, 2)}])
def test_what_cannot_be_stored_is_refused_before_anything_is_embedded(tracked, frame, field):
    embedder = Mean()
    with Gallery.open(tracked, embedder) as gallery:
        with pytest.raises(DataError, match=r"the track 7 cannot be stored|is no x, y"):
            gallery.add_sightings([Sighting(picture=frame, camera=1, **field)])
        assert (len(gallery), embedder.seen) == (0, [])
