"""Galleries in Milvus Lite: filters against loops, exact answers, interruptions, and refusals."""

import hashlib
import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_filters import DIMENSION, cosine, fits, optional

from reid_attn.errors import (
    DamagedError,
    DataError,
    DiskError,
    LockedError,
    MismatchError,
    MissingExtra,
    UsageError,
)
from reid_attn.gallery import Gallery, where
from reid_attn.gallery.filters import EVERYTHING, Where
from reid_attn.gallery.milvus import fields, link, lock, notes, search
from reid_attn.gallery.milvus.address import TOKEN

pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")

ROWS = 60


def described(number, generator):
    """A row with every kind of value."""
    return {
        "row": number + 1,
        "vector": generator.normal(size=DIMENSION),
        "person": [None, "anna", 'b"er\\t\n', "名"][number % 4],
        "camera": int(generator.integers(0, 3)),
        "track": ["", "1", "2"][int(generator.integers(0, 3))],
        "time": None if number % 5 == 0 else float(generator.integers(0, 100)),
        "attributes": {"colour": ["red", "blue"][number % 2], "seen": number % 3},
    }


def add(gallery, rows):
    return gallery.add_vectors(
        [row["vector"] for row in rows],
        [row["person"] for row in rows],
        [row["camera"] for row in rows],
        [f"{row['row']}.jpg" for row in rows],
        [hashlib.sha256(bytes([row["row"]])).digest() for row in rows],
        times=[row["time"] for row in rows],
        tracks=[row["track"] for row in rows],
        attributes=[row["attributes"] for row in rows],
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("milvus")


@pytest.fixture(scope="module")
def people(home):
    """An open gallery that no test changes, and its rows."""
    place = f"milvus:{home}/people.db/people"
    Gallery.create(place, fingerprint="model-a", dimension=DIMENSION, keep_days=None)
    generator = np.random.default_rng(5)
    rows = [described(number, generator) for number in range(ROWS)]
    with Gallery.open(place) as gallery:
        assert add(gallery, rows) == ROWS
        yield gallery, rows


@pytest.fixture
def place(tmp_path):
    """An empty gallery that may be changed."""
    place = f"milvus:{tmp_path}/few.db/few"
    Gallery.create(place, fingerprint="model-a", dimension=DIMENSION)
    return place


def test_after_its_end_a_gallery_takes_nothing(tmp_path):
    place = f"milvus:{tmp_path}/past.db/past"
    Gallery.create(place, fingerprint="model-a", dimension=DIMENSION, until="2020-01-01")
    with Gallery.open(place) as gallery:
        with pytest.raises(UsageError, match=r"ended at 2020-01-01T00:00:00\+00:00"):
            add(gallery, [described(0, np.random.default_rng(0))])
        assert gallery.verify() == 0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(chosen=st.fixed_dictionaries(optional), k=st.integers(1, 70), seed=st.integers(0, 1000))
def test_filters_agree_with_a_loop(people, chosen, k, seed):
    gallery, rows = people
    query = np.random.default_rng(seed).normal(size=DIMENSION)
    expected = sorted((-cosine(row, query), row["row"]) for row in rows if fits(row, **chosen))[:k]
    found = gallery.search(query, k, where=where(**chosen))
    assert [hit.row for hit in found] == [row for _, row in expected]
    meant = gallery.rows(where(**chosen))
    assert [r.row for r in meant] == [r["row"] for r in rows if fits(r, **chosen)]


def test_any_name_is_a_filter(people):
    gallery, rows = people
    for person in {row["person"] for row in rows} - {None}:
        expected = [row["row"] for row in rows if row["person"] == person]
        assert [r.row for r in gallery.rows(where(persons=[person]))] == expected


def test_tracks_and_rows_are_filters(people):
    gallery, rows = people
    meant = Where(tracks=frozenset([(1, "1"), (2, "")]), other_rows_than=frozenset(range(1, 20)))
    expected = [
        row["row"]
        for row in rows
        if (row["camera"], row["track"]) in [(1, "1"), (2, "")] and row["row"] > 19
    ]
    assert [row.row for row in gallery.rows(meant)] == expected != []


def test_counts(people):
    gallery, rows = people
    summary = gallery.store.summary()
    assert summary.persons == 3
    assert summary.cameras == len({row["camera"] for row in rows})
    assert summary.tracks == len({(r["camera"], r["track"]) for r in rows if r["track"]})
    assert gallery.verify() == ROWS


def test_rows_and_vectors_come_in_the_order_asked_for(people):
    gallery, rows = people
    wanted = [7, 3, 3, 60]
    assert [row.row for row in gallery.store.get(wanted)] == wanted
    vectors = np.stack([rows[number - 1]["vector"] for number in wanted])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(gallery.store.vectors(wanted), unit, atol=1e-6)
    for wrong in ([61], [0], [-1]):
        with pytest.raises(UsageError, match="is not in the gallery"):
            gallery.store.get(wrong)


def test_true_is_not_one(place):
    with Gallery.open(place) as gallery:
        values = [True, 1, None, 2.0, [1.0, {"a": 2}], "1"]
        rows = [described(n, np.random.default_rng(n)) for n in range(len(values))]
        add(gallery, [{**r, "attributes": {"x": v}} for r, v in zip(rows, values, strict=True)])
        cases = [(True, 1), (1, 2), (1.0, 2), (None, 3), (2, 4), ([1, {"a": 2.0}], 5), ("1", 6)]
        for value, row in cases:
            assert [r.row for r in gallery.rows(where(attributes={"x": value}))] == [row]


def test_answers_are_those_of_a_folder_to_the_last_bit(tmp_path):
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(8, 64))
    vectors = centres[generator.integers(0, 8, 300)] + 0.01 * generator.normal(size=(300, 64))
    vectors[100:140] = vectors[3]  # more equal ones than are asked for at first
    hashes = [hashlib.sha256(b"%d" % n).digest() for n in range(300)]
    answers = []
    for place in (tmp_path / "people", f"milvus:{tmp_path}/a.db/people"):
        Gallery.create(place, fingerprint="model-a", dimension=64)
        with Gallery.open(place) as gallery:
            gallery.add_vectors(vectors, [None] * 300, [0] * 300, ["a"] * 300, hashes)
            answers.append([list(gallery.search(v, 9)) for v in vectors[::25]])
            answers[-1].append(list(gallery.search(vectors[3], 300)))
    assert answers[0] == answers[1]
    assert [hit.row for hit in answers[1][-1][:5]] == [4, 101, 102, 103, 104]


def test_more_hits_than_milvus_gives_are_refused(people, monkeypatch):
    monkeypatch.setattr(search, "MOST", 20)
    gallery, rows = people
    assert len(gallery.search(rows[0]["vector"], 20)) == 20
    with pytest.raises(UsageError, match="at most 20 hits"):
        gallery.search(rows[0]["vector"], 21)


class Killed(BaseException):
    """What a test raises where a process would have died."""


CHANGES = {
    "add": lambda gallery, rows: add(gallery, rows[6:]),
    "remove": lambda gallery, rows: gallery.remove([1, 3]),
    "rename": lambda gallery, rows: gallery.store.relabel({2: ("x", "X"), 4: ("y", "")}, "rename"),
    "forget": lambda gallery, rows: gallery.forget("anna"),
}


def told(gallery):
    """Everything that a change may change."""
    store = gallery.store
    rows = store.rows(EVERYTHING)
    vectors = store.vectors([row.row for row in rows])
    pairs = zip(rows, vectors, strict=True)
    plain = [(r.row, r.person, r.name, r.changed, v.tobytes()) for r, v in pairs]
    corrections = [c._replace(at=0) for c in store.corrections()]
    return plain, corrections, store.blocked(), store.meta().calibration, store.meta().generation


@pytest.fixture(scope="module")
def six(home):
    """The folder of a closed gallery with six rows, and three rows more."""
    place = f"milvus:{home}/six.db/six"
    Gallery.create(place, fingerprint="model-a", dimension=DIMENSION)
    rows = [described(number, np.random.default_rng(number)) for number in range(9)]
    with Gallery.open(place) as gallery:
        add(gallery, rows[:6])
    return home / "six.db", rows


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_whole_wherever_its_writer_dies(six, change, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder, rows = six
    seen, finished = [], False
    while not finished:
        place = shutil.copytree(folder, tmp_path / f"{len(seen)}.db")
        with Gallery.open(f"milvus:{place}/six") as gallery:
            before = told(gallery)
            finished = interrupted(gallery, rows, change, len(seen), monkeypatch)
        with Gallery.open(f"milvus:{place}/six") as gallery:
            seen.append(told(gallery) == before)
            if change != "forget":  # whose sources may not come back
                add(gallery, rows)
            assert len(gallery.store.rows(EVERYTHING)) == gallery.verify()
    assert len(seen) > 3
    assert seen == sorted(seen, reverse=True), "valid at one moment, and from then on"
    assert {True, False} == set(seen)


def interrupted(gallery, rows, change, dies_at, monkeypatch):
    """Make the change, and die at a call that writes; whether it was finished."""
    calls = 0

    def counted(call):
        def wrapper(*arguments):
            nonlocal calls
            calls += 1
            if calls > dies_at:
                raise Killed
            return call(*arguments)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("insert", "upsert", "delete"):
            patch.setattr(link.Link, name, counted(getattr(link.Link, name)))
        try:
            CHANGES[change](gallery, rows)
        except Killed:
            return False
    return True


def test_a_row_that_was_changed_behind_our_back_is_named(place):
    with Gallery.open(place) as gallery:
        add(gallery, [described(number, np.random.default_rng(number)) for number in range(5)])
        client, name = gallery.store._link, "few"
        (record,) = client.query(name, "row == 2", ["*"])
        client.upsert(name, [{**record, "vector": np.ones(DIMENSION, np.float32)}], 1000)
        (record,) = client.query(name, "row == 3", ["*"])
        described_ = json.dumps({**json.loads(record["record"]), "person": "nobody"})
        client.upsert(name, [{**record, "record": described_}], 1000)
        (record,) = client.query(name, "row == 4", ["*"])
        client.upsert(name, [{**record, "camera": 7}], 1000)
        client.delete(name, "row", [5])
        with pytest.raises(DamagedError) as caught:
            gallery.verify()
        for part in ("vector of row 2", "row 3 is not", "filters ask of row 4", "4 of 5 rows"):
            assert part in str(caught.value)
        with pytest.raises(DamagedError, match="vector of row 2"):
            gallery.search(np.ones(DIMENSION), 5)


def test_a_changed_or_lost_line_of_the_log_is_named(place, measured):
    with Gallery.open(place) as gallery:
        store = gallery.store
        for number in range(4):
            store.annotate("calibrate", calibration=measured(number))
            store.record("search", {"k": number, "answers": []})
        line = json.loads(store._notes.get(["log/change/3"])["log/change/3"])
        store._notes.put({"log/change/3": json.dumps({**line, "who": "me"})}, "change")
        session = store._log._session
        store._notes.drop(f"log/{session}/2")
        store._notes.drop("log/change/5")
        problems = store.verify()
        assert len(problems) == 3
        for part in ("line 3 of the audit log 'change'", "lines before 3", "the end of the audit"):
            assert any(part in problem for problem in problems)
        assert gallery.acknowledge() == 2
        (problem,) = store.verify()
        assert problem == "line 3 of the audit log 'change' was changed"
        assert f"lines 2 to 2 of the audit log {session} are missing" in " ".join(gallery.gaps())


def test_texts_of_any_length_are_kept(place, monkeypatch):
    monkeypatch.setattr(notes, "_PART", 100)
    with Gallery.open(place) as gallery:
        store = gallery.store._notes
        texts = {"a": "", "b": "x" * 99, "c": "y" * 100, "d": "z" * 1234}
        store.put(texts, "test")
        assert store.get([*texts, "e"]) == store.of_kind("test") == texts
        store.drop("d")
        assert store.get(texts).keys() == {"a", "b", "c"}


def test_an_incomplete_text_is_not_there(place, monkeypatch):
    monkeypatch.setattr(notes, "_PART", 100)
    with Gallery.open(place) as gallery:
        store, client = gallery.store._notes, gallery.store._link
        store.put({"d": "z" * 1234}, "test")
        client.delete("few_state", "id", ["d/7"])
        assert store.get(["d"]) == {}


def test_what_does_not_fit_is_refused(place):
    row = described(0, np.random.default_rng(0))
    with Gallery.open(place) as gallery:
        for attributes in ({"long": "x" * 70_000}, {str(n): n for n in range(1025)}):
            with pytest.raises(DataError, match=r"1\.jpg"):
                add(gallery, [{**row, "attributes": attributes}])
        assert len(gallery) == 0


def test_a_folder_is_open_once(place):
    with Gallery.open(place), pytest.raises(LockedError, match="is in use by process"):
        Gallery.open(place)
    Gallery.open(place).close()


def test_another_model_is_refused(place, make_embedder):
    with pytest.raises(MismatchError, match="model-a"):
        Gallery.open(place, make_embedder("model-b"))


def test_refusals(place, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="already"):
        Gallery.create(place, fingerprint="a", dimension=2)
    with pytest.raises(UsageError, match=r"no gallery 'fex'.*did you mean 'few'"):
        Gallery.open(place[:-1] + "x")
    with pytest.raises(UsageError, match="no gallery"):
        Gallery.open(f"milvus:{tmp_path}/none.db/few")
    (tmp_path / "old.db").write_bytes(b"SQLite format 3")
    with pytest.raises(MismatchError, match="Milvus Lite 2"):
        Gallery.open(f"milvus:{tmp_path}/old.db/few")
    monkeypatch.setattr(link, "CONNECT_SECONDS", 1)
    with pytest.raises(DiskError, match="does not answer"):
        Gallery.open("milvus:http://127.0.0.1:1/few")


@pytest.mark.parametrize(
    "address",
    ["milvus:http://h:1", "milvus:http://h:1/a-b", "milvus:people/x", "milvus:", "milvus:x.db"],
)
def test_what_is_no_address(address):
    with pytest.raises(UsageError, match="not the address"):
        Gallery.open(address)


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(UsageError, match=TOKEN) as caught:
        Gallery.open("milvus:http://me:secret@h:1/people")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("package", ["pymilvus", "milvus_lite.server_manager"])
def test_a_missing_package_is_named(place, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"pip install 'reid-attn\[milvus\]'"):
        Gallery.open(place)


def test_an_old_server_is_refused(place, monkeypatch):
    monkeypatch.setattr(link, "OLDEST", (2, 3))
    with Gallery.open(place) as gallery:
        client = gallery.store._link
        monkeypatch.setattr(client.client, "get_server_version", lambda timeout: "v2.2.16")
        with pytest.raises(MismatchError, match=r"is Milvus v2\.2\.16, and .* 2\.3 or newer"):
            client._checked_version()


class TestLock:
    """Two writers, as if this were a server."""

    @pytest.fixture
    def two(self, place, monkeypatch):
        monkeypatch.setattr(lock, "LEASE", 1.0)
        monkeypatch.setattr(lock, "WAIT_SECONDS", 0.5)
        with Gallery.open(place) as gallery:
            yield [lock.Lock(gallery.store._notes, name, True) for name in ("one", "two")]

    def test_the_second_waits_and_is_told_for_whom(self, two):
        with two[0].held(), pytest.raises(LockedError, match="by one"), two[1].held():
            pass
        with two[1].held():
            pass

    def test_a_dead_writer_is_waited_for_no_longer_than_its_lease(self, two, monkeypatch):
        monkeypatch.setattr(lock, "WAIT_SECONDS", 10)
        two[0]._write()  # and dies
        with two[1].held():
            two[1].keep()

    def test_a_writer_that_was_held_up_makes_nothing_valid(self, two):
        with two[0].held(), pytest.raises(LockedError, match="took too long"):
            two[0]._since -= 0.6
            two[0].keep()


def test_receipt_says_what_is_not_proven(place, tmp_path):
    with Gallery.open(place) as gallery:
        add(gallery, [described(number, np.random.default_rng(number)) for number in range(4)])
        receipt = gallery.forget("anna", tmp_path / "receipt.json")
        assert receipt["rows"] == [2]
        assert receipt["rows_found_after"] == 0
        assert receipt["proof"].startswith("none")
        assert any("mark until compaction" in text for text in receipt["not_reached"])
        assert json.loads((tmp_path / "receipt.json").read_text()) == receipt


@pytest.mark.parametrize("value", [["anna"], True, {"anna": 1}])
def test_a_record_with_a_value_of_another_type_is_damaged(people, value):
    """JSON that is sound in itself, of a row that no gallery has written."""
    gallery, _ = people
    (record,) = gallery.store._rows.raw([2])
    assert fields.decode(record, "here").person == "anna"
    described = {**json.loads(record["record"]), "person": value}
    with pytest.raises(DamagedError, match="here is damaged: row 2 is not as it was written"):
        fields.decode({**record, "record": json.dumps(described)}, "here")
