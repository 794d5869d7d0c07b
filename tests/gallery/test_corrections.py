"""Merging, splitting, renaming, and taking it back; nothing of it outlives who is forgotten."""

import sqlite3

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DataError, LockedError, UsageError
from reid_attn.gallery import Gallery
from reid_attn.gallery.local.connection import NAME


@pytest.fixture
def gallery(folder, add_random):
    """Twelve rows: `person 0` has 1, 5 and 9, `person 1` has 2, 6 and 10, and so on."""
    add_random(folder, 12)
    with Gallery.open(folder) as gallery:
        yield gallery


def labels(gallery):
    return {row.row: (row.person, row.name) for row in gallery.rows()}


def rows_of(gallery, person):
    return [row for row, (who, _) in labels(gallery).items() if who == person]


def test_a_merge_keeps_the_first_with_his_name(gallery):
    gallery.rename("person 0", "Anna")
    assert gallery.merge("person 0", "person 1", "person 3") == 6
    assert rows_of(gallery, "person 0") == [1, 2, 4, 5, 6, 8, 9, 10, 12]
    assert set(labels(gallery).values()) == {("person 0", "Anna"), ("person 2", "")}


def test_a_split_makes_a_person_with_a_key_of_his_first_row(gallery):
    assert gallery.split("person 1", rows=[10, 6]) == "p-000006-2"
    assert rows_of(gallery, "p-000006-2") == [6, 10]
    assert rows_of(gallery, "person 1") == [2]
    assert gallery.split("p-000006-2", rows=[10]) == "p-000010-3"


def test_a_key_is_not_given_to_a_second_person(gallery):
    gallery.split("person 0", rows=[5], to="p-000006-3")
    assert gallery.split("person 1", rows=[6, 10]) == "p-000006-4"
    gallery.split("p-000006-4", rows=[6], to="person 1")
    assert gallery.split("person 1", rows=[6]) == "p-000006-5"


def test_a_key_of_who_was_forgotten_does_not_come_back_with_his_first_row(gallery):
    key = gallery.split("person 1", rows=[6, 10])
    gallery.split(key, rows=[6], to="person 2")
    gallery.forget(key)
    assert gallery.split("person 2", rows=[6]) not in (key, "person 2")


def test_a_split_to_somebody_who_is_there_takes_his_name(gallery):
    gallery.rename("person 3", "Dora")
    assert gallery.split("person 1", rows=[6], to="person 3") == "person 3"
    assert labels(gallery)[6] == ("person 3", "Dora")


def test_a_split_by_track(folder):
    with Gallery.open(folder) as gallery:
        vectors, digests = np.eye(8)[:4], [bytes([n]) * 32 for n in range(4)]
        tracks, sources = ["7", "7", "8", "7"], [f"{n}.jpg" for n in range(4)]
        gallery.add_vectors(vectors, ["anna"] * 4, [1, 1, 1, 2], sources, digests, tracks=tracks)
        assert gallery.split("anna", tracks=[(1, "7")]) == "p-000001-2"
        assert rows_of(gallery, "p-000001-2") == [1, 2]
        with pytest.raises(UsageError, match="no track '7' of camera 1"):
            gallery.split("anna", tracks=[(1, "7")])


def test_a_name_changes_without_the_key(gallery):
    assert gallery.rename("person 2", "Rene\u0301") == 3
    assert labels(gallery)[3] == ("person 2", "Ren\u00e9")
    assert gallery.rename("person 2", "") == 3
    assert labels(gallery)[3] == ("person 2", "")


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda g: g.merge("person 0", "person 0"), "with itself"),
        (lambda g: g.merge("person 0", "person 9"), "no person 'person 9'.*did you mean"),
        (lambda g: g.merge("anna", "person 0"), "no person 'anna'"),
        (lambda g: g.split("person 0"), "say which rows or tracks"),
        (lambda g: g.split("person 0", rows=[2]), "row 2 does not show 'person 0'"),
        (lambda g: g.split("person 0", rows=[1, 5, 9]), "nothing would be left"),
        (lambda g: g.split("person 0", rows=[5], to="person 0"), "show 'person 0' already"),
        (lambda g: g.rename("anna", "Anna"), "no person 'anna'"),
        (lambda g: g.undo(), "nothing to undo"),
    ],
)
def test_refusals_change_nothing(gallery, act, sentence):
    before, generation = labels(gallery), gallery.stats().generation
    with pytest.raises(UsageError, match=sentence):
        act(gallery)
    assert (labels(gallery), gallery.stats().generation) == (before, generation)


@pytest.mark.parametrize("key", ["", "a\udc80", 7])
@pytest.mark.parametrize(
    "act",
    [
        lambda g, key: g.merge(key, "person 0"),
        lambda g, key: g.merge("person 0", key),
        lambda g, key: g.split(key, rows=[2]),
        lambda g, key: g.split("person 0", rows=[5], to=key),
        lambda g, key: g.rename(key, "Anna"),
        lambda g, key: g.rename("person 0", key or 7),
    ],
)
def test_what_is_no_key_is_refused(gallery, act, key):
    """An empty key would mean all rows of nobody known."""
    gallery.store.relabel({1: ("", "")}, "undo")
    before = labels(gallery)
    with pytest.raises(DataError, match=r"the person .* cannot be stored"):
        act(gallery, key)
    assert labels(gallery) == before


def test_keys_are_the_same_in_both_forms_of_an_accent(gallery):
    composed, decomposed = "Ren\u00e9", "Rene\u0301"
    assert gallery.split("person 0", rows=[1], to=decomposed) == composed
    assert gallery.rename(decomposed, "Ren") == 1
    assert gallery.merge(decomposed, "person 1") == 3
    assert gallery.split(decomposed, rows=[2], to="person 1") == "person 1"
    assert rows_of(gallery, composed) == [1, 6, 10]
    assert gallery.merge("person 1", decomposed) == 3
    assert rows_of(gallery, "person 1") == [1, 2, 6, 10]


def test_keys_and_names_with_a_type_of_their_own_are_stored_plain(gallery):
    gallery.rename(np.str_("person 0"), np.str_("Anna"))
    gallery.split("person 1", rows=np.array([2]), to=np.str_("carl"))
    gallery.merge(np.str_("carl"), np.str_("person 2"))
    assert {type(text) for label in labels(gallery).values() for text in label} == {str}
    assert gallery.verify() == 12


def test_everything_can_be_undone_step_by_step(gallery):
    states = [labels(gallery)]
    for act in (
        lambda: gallery.rename("person 0", "Anna"),
        lambda: gallery.merge("person 0", "person 1"),
        lambda: gallery.split("person 0", rows=[2, 5]),
        lambda: gallery.rename("p-000002-4", "Bert"),
    ):
        act()
        states.append(labels(gallery))
    assert [c.action for c in gallery.undoable()] == ["rename", "split", "merge", "rename"]
    for state in reversed(states[:-1]):
        gallery.undo()
        assert labels(gallery) == state
    assert gallery.undoable() == []
    actions = [line["action"] for line in gallery.store.history()]
    assert actions[-4:] == ["undo"] * 4
    assert gallery.verify() == 12


def test_an_older_one_can_be_undone_when_nothing_later_touched_its_rows(gallery):
    gallery.merge("person 0", "person 1")
    first, generation = gallery.undoable()[0].number, gallery.stats().generation
    assert first == generation
    gallery.merge("person 2", "person 3")
    undone = gallery.undo(first)
    assert undone.rows[2] == (("person 1", ""), ("person 0", ""))
    assert rows_of(gallery, "person 1") == [2, 6, 10]
    assert rows_of(gallery, "person 3") == []


def test_after_a_later_change_of_the_same_rows_it_is_refused(gallery):
    gallery.merge("person 0", "person 1")
    first = gallery.undoable()[0].number
    gallery.split("person 0", rows=[6])
    second = gallery.undoable()[0].number
    with pytest.raises(UsageError, match=rf"row 6 was changed later, by correction {second}"):
        gallery.undo(first)
    gallery.undo(second)
    gallery.undo(first)
    assert rows_of(gallery, "person 1") == [2, 6, 10]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda g: g.rename("person 0", "Anna"), lambda g: g.merge("person 0", "person 1")),
        (lambda g: g.split("person 0", rows=[5]), lambda g: g.rename("person 0", "Anna")),
        (
            lambda g: [g.rename("person 0", "Anna"), g.merge("person 1", "person 0")],
            lambda g: g.split("person 2", rows=[3], to="person 0"),
        ),
    ],
)
def test_nobody_gets_two_names_by_an_undo(gallery, first, second):
    first(gallery)
    number, before = gallery.undoable()[0].number, labels(gallery)
    second(gallery)
    later, after = gallery.undoable()[0].number, labels(gallery)
    sentence = rf"rows of 'person 0' were called '(Anna)?' later, by correction {later} .*that one"
    with pytest.raises(UsageError, match=sentence):
        gallery.undo(number)
    assert labels(gallery) == after
    gallery.undo(later)
    assert labels(gallery) == before
    gallery.undo(number)
    known = set(labels(gallery).values())
    assert len({person for person, _ in known}) == len(known)


@pytest.mark.parametrize(("act", "person"), [("rename", "person 0"), ("merge", "person 1")])
def test_rows_that_came_later_get_the_name_that_comes_back(gallery, act, person):
    gallery.rename("person 1", "Bert")
    gallery.rename("person 0", "Anna") if act == "rename" else gallery.merge("person 0", "person 1")
    before = {"person 0": "", "person 1": "Bert"}
    gallery.add_vectors(np.eye(8)[:1], [person], [1], ["new.jpg"], [bytes(32)])
    gallery.undo()
    assert {label for label in labels(gallery).values() if label[0] in before} == {*before.items()}
    assert 13 in rows_of(gallery, person)


@pytest.mark.parametrize("undone", [False, True])
def test_only_what_stands_can_be_undone(gallery, undone):
    gallery.merge("person 0", "person 1")
    first = gallery.undoable()[0].number
    gallery.rename("person 2", "Carl")
    if undone:
        gallery.undo(first)
    with pytest.raises(UsageError, match=r"no correction .* that can be undone: those are"):
        gallery.undo(first if undone else first + 7)


def test_rows_that_were_deleted_stay_deleted(gallery):
    gallery.merge("person 0", "person 1")
    gallery.remove([6])
    gallery.undo()
    assert rows_of(gallery, "person 1") == [2, 10]


def test_a_change_by_somebody_else_in_between_is_noticed(gallery, folder, monkeypatch):
    relabel = gallery.store.relabel

    def late(*arguments, **options):
        with Gallery.open(folder) as other:
            other.rename("person 1", "Bert")
        return relabel(*arguments, **options)

    monkeypatch.setattr(gallery.store, "relabel", late)
    with pytest.raises(LockedError, match=r"row 2 .* was changed by somebody else meanwhile"):
        gallery.merge("person 0", "person 1")
    assert labels(gallery)[2] == ("person 1", "Bert")


SECRET = "Wilhelmine Auguste von und zu Hohenstein-Lichtenfels, the third of her name"


def contains(folder, text):
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return text.encode() in content


def test_nothing_of_a_person_is_left_in_the_corrections(gallery, folder):
    """Not of rows that went with him, nor of rows that were once taken for his."""
    gallery.rename("person 1", SECRET)
    key = gallery.split("person 1", rows=[10], to="stranger")
    gallery.split("person 1", rows=[6], to="person 2")
    gallery.merge("person 0", "person 1")
    gallery.merge("person 2", "person 3")
    assert contains(folder, SECRET)
    gallery.forget("person 0")
    assert not contains(folder, SECRET)
    assert labels(gallery)[10] == (key, "")
    assert [sorted(c.rows) for c in gallery.undoable()] == [[4, 8, 12]]
    assert all(c.action != "undo" for c in gallery.store.corrections())
    gallery.undo()
    assert rows_of(gallery, "person 3") == [4, 8, 12]
    assert gallery.verify() == len(gallery) == 8


def test_what_was_merged_and_forgotten_does_not_come_back(gallery, folder):
    gallery.rename("person 1", SECRET)
    gallery.merge("person 0", "person 1")
    gallery.forget("person 0")
    assert gallery.undoable() == []
    assert not contains(folder, SECRET)


def test_a_damaged_correction_is_named(gallery, folder):
    gallery.merge("person 0", "person 1")
    number = gallery.undoable()[0].number
    gallery.close()
    connection = sqlite3.connect(folder / NAME)
    with connection:
        connection.execute('UPDATE corrections SET old_person = "x" WHERE "row" = 6')
    connection.close()
    with Gallery.open(folder) as reopened:
        with pytest.raises(DamagedError, match=f"correction {number} of row 6"):
            reopened.undo()
        with pytest.raises(DamagedError, match=f"correction {number} of row 6"):
            reopened.verify()


def test_only_labels_are_corrected(gallery):
    before = [(row.key, row.vector_hash) for row in gallery.rows()]
    gallery.merge("person 0", "person 1")
    gallery.undo()
    assert [(row.key, row.vector_hash) for row in gallery.rows()] == before
