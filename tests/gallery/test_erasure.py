"""Forgetting: nothing of a person is in any byte, and each guard is needed."""

import hashlib
import json
import sqlite3

import numpy as np
import pytest

from reid_attn.data.images import decode, encode_jpeg
from reid_attn.errors import DamagedError, DataError, DiskError, LockedError, UsageError
from reid_attn.gallery import Gallery, where
from reid_attn.gallery.arrival import SECONDS_A_DAY
from reid_attn.gallery.filters import EVERYTHING
from reid_attn.gallery.local import connection as link
from reid_attn.gallery.local import erasure, scan

WIDE = 2048  # smaller vectors share pages, whose reuse hides what is not erased


def drawn(name, dimension=WIDE):
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)


def add(gallery, names, person, dimension=WIDE):
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    vectors = [drawn(name, dimension) for name in names]
    count = len(names)
    return gallery.add_vectors(vectors, [person] * count, [1] * count, names, digests)


@pytest.fixture
def wide(tmp_path):
    """Three persons of four rows each, the middle one to be forgotten."""
    folder = tmp_path / "wide"
    Gallery.create(folder, fingerprint="model-a", dimension=WIDE, purpose="a test")
    with Gallery.open(folder) as gallery:
        for person in ("anna", "bert", "carl"):
            add(gallery, [f"{person} {number}" for number in range(4)], person)
        gallery.search(drawn("bert 1"), 3)
    return folder


def traces(folder, names):
    """How many of the vectors have a piece in some file: a slow twin of `scan.py`."""
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    found = 0
    for name in names:
        vector = drawn(name).astype(np.float64)
        unit = (vector / np.linalg.norm(vector)).astype("<f4").tobytes()
        found += any(unit[at : at + 32] in content for at in range(0, len(unit) - 31, 32))
    return found


BERT = [f"bert {number}" for number in range(4)]


def receipts(folder):
    """What is in the folder of receipts, if there is one."""
    return sorted((folder / "receipts").glob("*"))


def test_nothing_is_left(wide):
    assert traces(wide, BERT) == 4
    with Gallery.open(wide) as gallery:
        receipt = gallery.forget("bert")
        assert (len(gallery), gallery.verify()) == (8, 8)
        assert [hit.person for hit in gallery.search(drawn("bert 1"), 8)].count("bert") == 0
    assert traces(wide, BERT) == 0
    assert receipt["rows"] == [5, 6, 7, 8]
    assert receipt["pieces"] > 4 * WIDE * 4 / 32 / 2
    assert receipt["pieces_found_before"] > receipt["pieces"] * 0.9
    assert receipt["pieces_found_after"] == 0
    assert receipt["bytes_scanned"] > 8 * WIDE * 4
    assert any("weights" in thing for thing in receipt["not_reached"])
    (path,) = receipts(wide)
    assert json.loads(path.read_text()) == receipt
    with Gallery.open(wide) as gallery:
        (line,) = [line for line in gallery.store.history() if line["action"] == "receipt"]
    assert line["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_receipt_can_go_elsewhere(wide, tmp_path):
    with Gallery.open(wide) as gallery:
        gallery.forget("bert", tmp_path / "bert.json")
    assert (tmp_path / "bert.json").exists()
    assert receipts(wide) == []


@pytest.mark.parametrize("value", ["OFF", "FAST"])
def test_without_secure_delete_it_is_refused_before_anything_is_deleted(wide, monkeypatch, value):
    settings = tuple(
        (n, value, {"OFF": 0, "FAST": 2}[value]) if n == "secure_delete" else (n, v, e)
        for n, v, e in link.PRAGMAS
    )
    monkeypatch.setattr(link, "PRAGMAS", settings)
    with Gallery.open(wide) as gallery:
        with pytest.raises(DiskError, match="secure_delete is not on"):
            gallery.forget("bert")
        assert len(gallery) == 12


@pytest.mark.parametrize("value", ["OFF", "FAST"])
def test_the_scan_notices_that_secure_delete_is_not_on(wide, monkeypatch, value):
    """The proof is worth something: without the guard it fails, as section 1.2 measured."""
    settings = tuple(
        (n, value, {"OFF": 0, "FAST": 2}[value]) if n == "secure_delete" else (n, v, e)
        for n, v, e in link.PRAGMAS
    )
    monkeypatch.setattr(link, "PRAGMAS", settings)
    value_of = link.Connection.value
    monkeypatch.setattr(
        link.Connection,
        "value",
        lambda self, query, *v: 1 if "secure_delete" in query else value_of(self, query, *v),
    )
    monkeypatch.setattr(erasure, "rewrite", erasure.empty_log)  # which would hide it
    with Gallery.open(wide) as gallery, pytest.raises(DamagedError, match="pieces of them"):
        gallery.forget("bert")
    assert receipts(wide) == []


@pytest.mark.parametrize("rewritten", [True, False])
def test_copies_that_moving_rows_left_in_pages_are_erased_and_else_noticed(
    tmp_path, monkeypatch, rewritten
):
    """Rows that grow or go split and merge pages, and the gaps of those keep copies of cells."""
    Gallery.create(tmp_path / "people", fingerprint="model-a", dimension=64)
    generator = np.random.default_rng(0)
    names = [str(number) for number in range(200)]
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    bert = generator.permutation(200)[:100].tolist()
    with Gallery.open(tmp_path / "people") as gallery:
        gallery.add_vectors(
            generator.normal(size=(200, 64)), ["ada"] * 200, [1] * 200, names, digests
        )
        gallery.store.relabel(
            {number + 1: ("bert", "Bert the Second") for number in bert}, "rename"
        )
        if rewritten:
            assert gallery.forget("bert")["pieces_found_after"] == 0
        else:
            monkeypatch.setattr(erasure, "rewrite", erasure.empty_log)
            with pytest.raises(DamagedError, match=r"pieces of them are still .*gallery\.sqlite"):
                gallery.forget("bert")
        assert len(gallery) == 100
    content = (tmp_path / "people" / link.NAME).read_bytes()
    assert any(digests[number] in content for number in bert) != rewritten


def damaged_scan(tmp_path, monkeypatch, sound=0):
    """Let the program that looks through the files fail, after it ran `sound` times."""
    program = tmp_path / "scan.py"
    program.write_text(
        f"import sys\nfrom pathlib import Path\nruns = Path({str(tmp_path / 'runs')!r})\n"
        "count = len(runs.read_bytes()) if runs.exists() else 0\n"
        "runs.write_bytes(bytes(count + 1))\n"
        f"if count >= {sound}: sys.exit('a disk that cannot be read')\n"
        'print(\'{"files": {}, "found": []}\')\n'
    )
    monkeypatch.setattr(scan, "__file__", str(program))


@pytest.mark.parametrize("deleted", [False, True])
def test_files_that_cannot_be_looked_through(wide, tmp_path, monkeypatch, deleted):
    told = (
        r"not yet erased: .* could not be looked through \(a disk.*run `gallery expire`"
        if deleted
        else r"nothing was deleted: .* could not be looked through \(a disk.*the command again"
    )
    with monkeypatch.context() as patch, Gallery.open(wide) as gallery:
        damaged_scan(tmp_path, patch, sound=int(deleted))
        with pytest.raises(DiskError, match=told):
            gallery.forget("bert")
    with Gallery.open(wide) as gallery:
        assert len(gallery) == (8 if deleted else 12)
        assert receipts(wide) == []
        assert (gallery.expire() if deleted else gallery.forget("bert"))["pieces_found_after"] == 0
    assert traces(wide, BERT) == 0


def test_a_writer_prevents_writing_anew_and_expire_finishes_it(wide, monkeypatch):
    monkeypatch.setattr(link, "BUSY_SECONDS", 0)
    writer = sqlite3.connect(wide / link.NAME, isolation_level=None)
    with monkeypatch.context() as patch, Gallery.open(wide) as gallery:
        patch.setattr(erasure, "empty_log", lambda connection: writer.execute("BEGIN IMMEDIATE"))
        with pytest.raises(LockedError, match=r"not yet erased: somebody has been writing.*expire"):
            gallery.forget("bert")
        assert len(gallery) == 8
    writer.close()
    with Gallery.open(wide) as gallery:
        gallery.expire()
    assert traces(wide, BERT) == 0


def test_the_scan_notices_a_log_that_was_not_emptied(wide, monkeypatch):
    monkeypatch.setattr(erasure, "empty_log", lambda connection: None)
    monkeypatch.setattr(link.Connection, "close", lambda self: None)
    with Gallery.open(wide) as gallery, pytest.raises(DamagedError, match="pieces of them"):
        gallery.forget("bert")


def test_the_scan_notices_a_cache_that_stayed(wide, monkeypatch):
    monkeypatch.setattr(erasure, "remove_caches", lambda folder: None)
    with Gallery.open(wide) as gallery, pytest.raises(DamagedError, match="pieces of them"):
        gallery.forget("bert")


def test_a_copy_in_the_folder_is_named_before_anything_is_deleted(wide):
    copy = wide / f"{link.NAME}.bak"
    copy.write_bytes((wide / link.NAME).read_bytes())
    with Gallery.open(wide) as gallery:
        with pytest.raises(UsageError, match=r"nothing was deleted: .*sqlite\.bak holds a copy"):
            gallery.forget("bert")
        assert len(gallery) == 12
        copy.unlink()
        assert len(gallery.forget("bert")["rows"]) == 4


@pytest.fixture
def read(wide, monkeypatch):
    """Begins to read, as another process would, and gives what ends it."""
    monkeypatch.setattr(link, "BUSY_SECONDS", 0)
    reader = sqlite3.connect(wide / link.NAME)

    def begin():
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        return reader.close

    yield begin
    reader.close()


def test_a_reader_prevents_it_and_nothing_is_deleted(wide, read):
    end = read()
    with Gallery.open(wide) as gallery:
        with pytest.raises(LockedError, match="nothing was deleted: somebody has been reading"):
            gallery.forget("bert")
        assert len(gallery) == 12
        assert receipts(wide) == []
        end()
        assert len(gallery.forget("bert")["rows"]) == 4


def test_what_a_late_reader_prevents_is_finished_by_expire(wide, read, monkeypatch):
    remove_caches, ends = erasure.remove_caches, []
    monkeypatch.setattr(erasure, "remove_caches", lambda folder: ends.append(read()))
    with Gallery.open(wide) as gallery:
        with pytest.raises(LockedError, match=r"deleted, not yet erased.*`gallery expire`"):
            gallery.forget("bert")
        assert len(gallery) == 8
        assert traces(wide, BERT) == 4
        ends.pop()()
        monkeypatch.setattr(erasure, "remove_caches", remove_caches)
        gallery.expire()
    assert traces(wide, BERT) == 0


def test_what_was_forgotten_does_not_come_back(wide):
    with Gallery.open(wide) as gallery:
        gallery.forget("bert")
        with pytest.raises(DataError, match="erased from this gallery and may not come back"):
            add(gallery, ["new", "bert 2"], "someone else")
        assert len(gallery) == 8
        assert add(gallery, ["new"], "bert") == 1
        assert gallery.stats().erased == 4
    assert hashlib.sha256(b"bert 2").digest() not in (wide / link.NAME).read_bytes()


def test_a_picture_that_another_person_shares_is_no_leftover(wide):
    with Gallery.open(wide) as gallery:
        add(gallery, ["bert 2"], "anna")
        gallery.forget("bert")
        assert len(gallery) == 9


def test_nobody_of_that_name(wide):
    with Gallery.open(wide) as gallery:
        with pytest.raises(UsageError, match=r"no person 'berd'.*did you mean 'bert'"):
            gallery.forget("berd")
        assert len(gallery) == 12


def test_what_expired_is_erased_and_may_come_back(tmp_path, monkeypatch):
    folder = tmp_path / "wide"
    Gallery.create(folder, fingerprint="model-a", dimension=WIDE, keep_days=2)
    with Gallery.open(folder) as gallery:
        add(gallery, ["old 1", "old 2"], "old")
        from reid_attn.gallery.local import records

        now = records.now()
        monkeypatch.setattr(records, "now", lambda: now + SECONDS_A_DAY)
        add(gallery, ["young"], "young")
        monkeypatch.setattr(records, "now", lambda: now + 2 * SECONDS_A_DAY + 1)
        assert gallery.stats().expired == 2
        assert gallery.expire()["rows"] == [1, 2]
        assert [row.person for row in gallery.rows(EVERYTHING)] == ["young"]
        assert add(gallery, ["old 1"], "old") == 1
        assert gallery.expire()["rows"] == []
    assert traces(folder, ["old 2"]) == 0


def test_thumbnails_go_as_well(tmp_path, make_embedder):
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in paths:
        path.write_bytes(encode_jpeg(generator.integers(0, 256, (300, 120, 3)).astype(np.uint8)))
    folder = tmp_path / "people"
    Gallery.create(folder, fingerprint="model-a", dimension=8)
    with Gallery.open(folder, make_embedder()) as gallery:
        gallery.add(paths, ["anna", "anna", "bert", "bert"], [1, 2, 1, 2])
        pictures = gallery.store.thumbnails([1, 2, 3, 4])
        assert all(decode(picture).shape == (256, 102, 3) for picture in pictures)
        assert gallery.forget("anna")["thumbnails"] == 2
        assert gallery.verify() == 2
    content = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    pieces = [picture[at : at + 32] for picture in pictures[:2] for at in range(700, 3000, 32)]
    assert not [piece for piece in pieces if piece in content]
    assert pictures[3][700:732] in content


@pytest.mark.parametrize("place", [0, 1, 7, 31, 4064, 4065, 4095, 4096, 9968])
def test_the_scan_finds_a_piece_at_any_place(tmp_path, monkeypatch, place):
    monkeypatch.setattr(scan, "_BLOCK", 4096)
    generator = np.random.default_rng(place)
    pieces = [generator.bytes(32) for _ in range(50)]
    content = bytearray(generator.bytes(10_000))
    content[place : place + 32] = pieces[17]
    (tmp_path / "file").write_bytes(content)
    found = scan.scan(tmp_path, pieces)
    assert found["found"] == [17]
    digest = hashlib.sha256(content).hexdigest()
    assert found["files"] == {"file": {"sha256": digest, "bytes": 10_000, "pieces": 1}}


def test_the_scan_agrees_with_a_slow_twin(tmp_path):
    generator = np.random.default_rng(3)
    content = generator.integers(0, 4, 3000).astype(np.uint8).tobytes()  # many near misses
    (tmp_path / "file").write_bytes(content)
    pieces = [content[at : at + 32] for at in range(0, 2900, 97)]
    pieces += [generator.integers(0, 4, 32).astype(np.uint8).tobytes() for _ in range(30)]
    expected = [place for place, piece in enumerate(pieces) if piece in content]
    assert scan.scan(tmp_path, pieces)["found"] == expected


def test_a_piece_with_zeros_is_found_in_a_file_full_of_them(tmp_path):
    pieces = [bytes(16) + bytes(range(1, 17)), bytes(range(1, 13)) + bytes(20)]
    content = bytearray(100_000)
    content[40_003:40_035], content[70_009:70_041] = pieces
    (tmp_path / "file").write_bytes(content)
    assert scan.scan(tmp_path, pieces)["found"] == [0, 1]
    (tmp_path / "file").write_bytes(content[:70_020])
    assert scan.scan(tmp_path, pieces)["found"] == [0]


def test_nothing_to_look_for_is_found_nowhere(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100))
    assert scan.scan(tmp_path, [])["found"] == []


SECRETS = ("anna-elisabeth", "track T-81", "lives at elm street")


@pytest.fixture
def told(tmp_path):
    """Three persons of two rows each; the first has a key, a track and an attribute to forget."""
    folder = tmp_path / "told"
    Gallery.create(folder, fingerprint="model-a", dimension=WIDE)
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            [drawn(f"{number}") for number in range(6)],
            [SECRETS[0], SECRETS[0], "bert", "bert", "carl", "carl"],
            [1] * 6,
            [f"{number}.jpg" for number in range(6)],
            [hashlib.sha256(b"%d" % number).digest() for number in range(6)],
            tracks=[SECRETS[1], "", "2", "", "3", ""],
            attributes=[{"note": SECRETS[2]}, {}, {"note": "tall"}, {}, {}, {}],
        )
        gallery.rows()
    return folder


def files_with(folder, text):
    """The files that hold `text`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if text.encode() in path.read_bytes()}


@pytest.mark.parametrize("correct", [False, True])
def test_no_text_comes_back_with_a_reader_that_was_open(told, correct):
    for secret in SECRETS:
        assert files_with(told, secret) == {link.NAME, "columns.cache"}
    reader = Gallery.open(told)
    reader.rows()
    with Gallery.open(told) as gallery:
        if correct:
            gallery.rename(SECRETS[0], "Anna")
        gallery.forget(SECRETS[0])
    assert len(reader.search(drawn("3"), 6)) == 4
    reader.close()
    assert files_with(told, "bert") == {link.NAME, "columns.cache"}, "the reader wrote its cache"
    for secret in SECRETS:
        assert files_with(told, secret) == set()
    assert not [n for n in range(2) if traces(told, [f"{n}"])]
    with Gallery.open(told) as gallery:
        assert [row.person for row in gallery.rows()] == ["bert", "bert", "carl", "carl"]
        assert [row.row for row in gallery.rows(where(attributes={"note": "tall"}))] == [3]
        assert gallery.verify() == 4


def test_no_text_is_left_by_the_one_who_forgets(told):
    with Gallery.open(told) as gallery:
        gallery.rows()
        gallery.forget(SECRETS[0])
        gallery.rows()
    for secret in SECRETS:
        assert files_with(told, secret) == set()
