"""The audit log: every change and search has a line, and no line changes or goes unnoticed."""

import json
import random

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DiskError, UsageError
from reid_attn.gallery import Gallery, audit

DIMENSION = 8
LINES = 12


@pytest.fixture
def log(tmp_path):
    for number in range(LINES):
        audit.append(tmp_path, "search", {"rows": [number]}, sync=False)
    return tmp_path


def content(folder):
    return (folder / audit.NAME).read_bytes().splitlines(keepends=True)


def put(folder, lines):
    (folder / audit.NAME).write_bytes(b"".join(lines))


def test_what_is_written_is_read(log):
    lines = list(audit.lines(log))
    assert [line["line"] for line in lines] == list(range(1, LINES + 1))
    assert [line["rows"] for line in lines] == [[number] for number in range(LINES)]
    assert audit.problems(log) == []


def test_each_changed_byte_is_located(log):
    sound = content(log)
    generator = random.Random(0)
    for _ in range(300):
        place = generator.randrange(LINES)
        changed = bytearray(sound[place])
        at = generator.randrange(len(changed) - 1)
        changed[at] = generator.choice([b for b in range(32, 127) if b != changed[at]])
        put(log, [*sound[:place], bytes(changed), *sound[place + 1 :]])
        problems = audit.problems(log)
        assert any(f"line {place + 1} of" in problem for problem in problems), (place, at, problems)


@pytest.mark.parametrize("place", range(LINES))
def test_each_removed_line_is_located(log, place):
    sound = content(log)
    put(log, sound[:place] + sound[place + 1 :])
    (problem,) = audit.problems(log)
    where = "the end of" if place == LINES - 1 else f"before line {place + 1} of"
    assert where in problem


@pytest.mark.parametrize("count", [1, 5, LINES])
def test_a_lost_end_is_noticed(log, count):
    put(log, content(log)[: LINES - count])
    assert "the end of" in audit.problems(log)[0]


def test_a_line_that_was_written_anew_with_its_hash_is_noticed(log):
    lines = content(log)
    forged = json.loads(lines[4])
    forged["rows"] = [99]
    del forged["hash"]
    forged["hash"] = audit._digest(forged)
    put(log, [*lines[:4], audit._encoded(forged) + b"\n", *lines[5:]])
    assert audit.problems(log) == ["line 6 of audit.jsonl does not follow the line before it"]


def test_exchanged_lines_are_noticed(log):
    lines = content(log)
    put(log, [*lines[:3], lines[4], lines[3], *lines[5:]])
    assert audit.problems(log)


def test_a_lost_head_is_noticed(log):
    (log / audit.HEAD).unlink()
    assert audit.problems(log) == ["audit.head is missing"]


def test_what_a_kill_left_of_a_line_is_dropped_and_the_log_goes_on(log):
    with (log / audit.NAME).open("ab") as file:
        file.write(b'{"line": 13, "previ')
    (log / audit.HEAD).write_bytes(b"")
    audit.append(log, "search", {"rows": []}, sync=True)
    assert audit.problems(log) == []
    assert len(list(audit.lines(log))) == LINES + 1


def test_a_copy_of_the_last_line_may_be_late(log):
    before = (log / audit.HEAD).read_bytes()
    audit.append(log, "search", {"rows": []}, sync=True)
    (log / audit.HEAD).write_bytes(before)
    assert audit.problems(log) == []


def test_after_damage_the_log_goes_on_and_the_damage_stays(log):
    lines = content(log)
    put(log, [*lines[:-1], b"damaged\n"])
    audit.append(log, "search", {"rows": []}, sync=True)
    assert audit.problems(log)[0] == f"line {LINES} of audit.jsonl cannot be read"


@pytest.mark.parametrize("count", [1, 5, LINES])
def test_a_lost_end_stays_noticed_when_the_log_goes_on(log, count):
    put(log, content(log)[: LINES - count])
    for _ in range(3):
        audit.append(log, "search", {"rows": []}, sync=True)
    first = LINES - count + 1
    gap = f"before line {first} of audit.jsonl, lines {first} ff. are missing"
    assert audit.problems(log) == [gap]


def test_a_log_that_was_deleted_stays_noticed(log):
    (log / audit.NAME).unlink()
    audit.append(log, "search", {"rows": []}, sync=True)
    assert audit.problems(log) == ["before line 1 of audit.jsonl, lines 1 ff. are missing"]
    assert [line["line"] for line in audit.lines(log)] == [LINES + 1]


def test_a_gap_is_told_once_it_is_acknowledged_and_no_longer_damage(log):
    put(log, content(log)[:-3])
    assert audit.gaps(log) == [(LINES - 2, LINES)]
    audit.append(log, audit.ACKNOWLEDGE, {"missing": audit.gaps(log)}, sync=True)
    assert audit.problems(log) == audit.gaps(log) == []
    (sentence,) = audit.acknowledged(audit.lines(log)).values()
    assert f"lines {LINES - 2} to {LINES} of the audit log are missing" in sentence
    assert f"{audit._user()}@" in sentence
    lines = content(log)
    put(log, [*lines[:2], *lines[3:]])
    assert audit.problems(log) == ["before line 3 of audit.jsonl, lines 3 ff. are missing"]


def test_only_what_is_missing_can_be_acknowledged(log):
    lines = content(log)
    put(log, [lines[0].replace(b"search", b"forget"), lines[2], lines[1], *lines[3:-1], b"{}\n"])
    assert audit.gaps(log) == [(2, 2), (3, 3)]
    audit.append(log, audit.ACKNOWLEDGE, {"missing": audit.gaps(log)}, sync=True)
    told = "\n".join(audit.problems(log))
    for place in ("line 1 of audit.jsonl was changed", "before line 3 of", f"line {LINES} of"):
        assert place in told


@pytest.mark.parametrize("missing", [7, [7], [[1]], [[{}, 1, 2]], None])
def test_a_forged_acknowledgement_hides_nothing(log, missing):
    put(log, content(log)[:-1])
    audit.append(log, audit.ACKNOWLEDGE, {"missing": missing}, sync=True)
    assert audit.gaps(log) == [(LINES, LINES)]
    assert len(audit.problems(log)) == 1


def test_a_gallery_without_its_log_is_not_as_it_was_written(folder):
    for name in (audit.NAME, audit.HEAD):
        (folder / name).unlink()
    with Gallery.open(folder) as gallery, pytest.raises(DamagedError, match="jsonl is missing"):
        gallery.verify()


def test_after_a_power_cut_there_is_an_honest_way_on(folder, add_random, tmp_path):
    vectors = add_random(folder, 6)
    with Gallery.open(folder) as gallery:
        with pytest.raises(UsageError, match="lacks no lines"):
            gallery.acknowledge()
        gallery.search_all(vectors[:1])
        put(folder, content(folder)[:-1])
        with pytest.raises(DamagedError, match="can be acknowledged"):
            gallery.verify()
        gallery.search_all(vectors[:1])
        with pytest.raises(DamagedError, match="can be acknowledged"):
            gallery.verify()
        assert gallery.acknowledge() == 1
        assert gallery.verify() == 6
        gallery.backup(tmp_path / "backup")
        assert "lines 3 to 3" in gallery.gaps()[0]
    with Gallery.open(tmp_path / "backup") as copy:
        assert copy.verify() == 6
        assert "lines 3 to 3" in copy.gaps()[0]


def test_a_last_line_written_anew_stays_noticed(log):
    lines = content(log)
    forged = {**json.loads(lines[-1]), "rows": [99]}
    del forged["hash"]
    put(log, [*lines[:-1], audit._encoded({**forged, "hash": audit._digest(forged)}) + b"\n"])
    audit.append(log, "search", {"rows": []}, sync=True)
    sentence = f"line {LINES + 1} of audit.jsonl does not follow the line before it"
    assert audit.problems(log) == [sentence]


@pytest.mark.parametrize(
    "damage",
    [
        lambda head: b"",
        lambda head: head[:20],
        lambda head: head.replace(b'"line":12', b'"line":92'),
        lambda head: b'{"line":99,"hash":"","previous":""}',
    ],
)
def test_a_copy_that_was_cut_or_damaged_does_not_matter(log, damage):
    (log / audit.HEAD).write_bytes(damage((log / audit.HEAD).read_bytes()))
    audit.append(log, "search", {"rows": []}, sync=True)
    assert audit.problems(log) == []


def test_what_a_killed_process_left_of_a_line_is_no_damage_and_is_cut_off(log):
    before, head = content(log), (log / audit.HEAD).read_bytes()
    audit.append(log, "remove", {"rows": [1]}, sync=True)
    line = content(log)[-1]
    for length in range(len(line)):
        put(log, [*before, line[:length]])
        (log / audit.HEAD).write_bytes(head)  # written after the line
        assert audit.problems(log) == []
        assert len(list(audit.lines(log))) == LINES
    audit.append(log, "search", {"rows": [2]}, sync=True)
    assert [line["line"] for line in audit.lines(log)] == list(range(1, LINES + 2))
    assert audit.problems(log) == []


@pytest.mark.parametrize("length", [1, 50])
def test_a_whole_line_that_was_cut_is_noticed(log, length):
    (log / audit.NAME).write_bytes(b"".join(content(log))[:-length])
    (problem,) = audit.problems(log)
    assert f"it has had {LINES} lines" in problem


def test_names_and_vectors_are_in_no_line(folder, add_random):
    vectors = add_random(folder, 6)
    with Gallery.open(folder) as gallery:
        gallery.search(vectors[0], 3)
        gallery.remove([2])
        gallery.store.relabel({1: ("person 9", "Nine")}, "rename")
        gallery.forget("person 3")
        history = list(gallery.store.history())
    actions = ["create", "add", "search", "remove", "rename", "forget", "receipt"]
    assert [line["action"] for line in history] == actions
    assert history[1]["rows"] == [[1, 6]]
    assert len(history[2]["answers"][0]["rows"]) == 3
    assert history[3]["rows"] == [[2, 2]]
    text = (folder / audit.NAME).read_text()
    assert "person" not in text
    assert "Nine" not in text
    assert ".jpg" not in text


def test_verify_names_the_line(folder, add_random):
    add_random(folder, 3)
    lines = content(folder)
    put(folder, [lines[0].replace(b'"create"', b'"forget"'), *lines[1:]])
    sentence = r"line 1 of audit\.jsonl was changed"
    with Gallery.open(folder) as gallery, pytest.raises(DamagedError, match=sentence):
        gallery.verify()


def test_without_its_line_there_is_no_change(folder, monkeypatch):
    def full(*arguments, **options):
        raise DiskError("the disk is full")

    with Gallery.open(folder) as gallery:
        monkeypatch.setattr(audit, "append", full)
        with pytest.raises(DiskError):
            gallery.add_vectors(np.ones((1, DIMENSION)), ["a"], [1], ["a"], [bytes(32)])
        assert len(gallery) == 0


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"action": 7},
        {"action": "search"},
        {"action": "search", "answers": 7},
        {"action": "search", "answers": [7]},
        {"action": "search", "answers": [{"rows": [[1]]}]},
    ],
)
def test_a_malformed_line_hides_no_other(folder, add_random, tmp_path, more):
    vectors = add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        gallery.search(vectors[0], 3)
        line = {"line": 99, "previous": "", "hash": "", **more}
        with (folder / audit.NAME).open("ab") as file:
            file.write(audit._encoded(line) + b"\n")
        gallery.search(vectors[0], 3)
        assert gallery.export("person 0", tmp_path / "export")["searches"] == 2
        with pytest.raises(DamagedError, match=r"line 4 of audit\.jsonl"):
            gallery.verify()
