"""The daily work with `reid-attn gallery`, from the first word to the exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

from reid_attn.commands import main
from reid_attn.gallery import Gallery

ANNA, BERT, CARL = np.eye(8)[:3]


@pytest.fixture
def reid(capsys, monkeypatch):
    """Runs a command line; returns (exit code, output, problems)."""
    monkeypatch.setattr("reid_attn.features.Embedder", FakeEmbedder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code = main(["gallery", *map(str, arguments)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


class FakeEmbedder:
    """The first letter of a picture's content says who it shows."""

    dimension = 8

    def __init__(self, run):
        self.fingerprint = f"model of {Path(run).name}"

    def __call__(self, pictures):
        people = {b"a": ANNA, b"b": BERT, b"c": CARL}
        return np.stack([people[path.read_bytes()[:1]] for path in pictures]).astype(np.float32)


@pytest.fixture
def people(tmp_path):
    """Anna (rows 1 and 2), Bert (3), and two tracks of nobody known (4, 5 and 6)."""
    folder = tmp_path / "people"
    Gallery.create(folder, fingerprint="model of a", dimension=8, run="runs/a", pictures=False)
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            [ANNA, ANNA, BERT, ANNA, CARL, CARL],
            ["anna", "anna", "bert", None, None, None],
            [1, 1, 1, 2, 2, 3],
            [f"{n}.jpg" for n in range(6)],
            [bytes([n]) * 32 for n in range(6)],
            tracks=["1", "2", "3", "7", "8", "9"],
            times=[0.0, 10.0, 20.0, 30.0, 40.0, 50.0],
        )
    return folder


def told(answer):
    """The JSON that a command printed."""
    code, output, problems = answer
    assert code == 0, problems
    return json.loads(output)


def persons(folder):
    with Gallery.open(folder) as gallery:
        return [row.person for row in gallery.rows()]


def test_identify_what_is_there(reid, people):
    code, output, _ = reid("identify", people, "--threshold", 0.8, "--dry-run")
    assert code == 0
    assert "3 tracks would be named, 1 of them as somebody known and 2 as 1 new persons" in output
    assert persons(people)[3:] == ["", "", ""]
    found = told(reid("identify", people, "--threshold", 0.8, "--json"))["identities"]
    assert [(i["camera"], i["track"], i["rows"], i["person"], i["new"]) for i in found] == [
        (2, "7", [4], "anna", False),
        (2, "8", [5], "p-000005-2", True),
        (3, "9", [6], "p-000005-2", True),
    ]
    assert persons(people)[3:] == ["anna", "p-000005-2", "p-000005-2"]
    line = reid("undo", people, "--list")[1]
    assert "identify, 3 rows: nobody → anna, nobody → p-000005-2" in line
    assert "undone:" in reid("undo", people)[1]
    assert persons(people)[3:] == ["", "", ""]


def test_identify_new_pictures(reid, people, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    for name in ("0009_c2s1_000001_01.jpg", "0009_c3s1_000001_01.jpg"):
        (folder / name).write_bytes(b"b" + name.encode())
    found = told(reid("identify", people, folder, "--threshold", 0.8, "--json"))["identities"]
    assert [(i["camera"], i["rows"], i["person"]) for i in found] == [
        (2, [7], "bert"),
        (3, [8], "bert"),
    ]
    assert persons(people)[3:6] == ["", "", ""]
    (folder / "x.jpg").write_bytes(b"c")
    output = reid("identify", people, folder / "x.jpg", "--camera", 5, "--threshold", 0.8)[1]
    assert "x.jpg" in output
    assert "p-000009-5 (new)" in output


def test_identify_a_table(reid, people, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    table = tmp_path / "tracks.csv"
    table.write_text("path,camera,track\na.jpg,4,1\n")
    options = ("--tracks", table, "--threshold", 0.8)
    (found,) = told(reid("identify", people, *options, "--dry-run", "--json"))["identities"]
    assert (found["person"], found["rows"], found["score"]) == ("anna", [], 1.0)
    assert len(persons(people)) == 6
    assert reid("identify", people, *options)[0] == 0
    assert persons(people)[6] == "anna"


def test_link(reid, people):
    found = told(reid("link", people, "--threshold", 0.8, "--json"))
    (group,) = found["groups"]
    assert not found["applied"]
    assert (group["person"], [t["rows"] for t in group["tracks"]]) == ("p-000005-2", [[5], [6]])
    output = reid("link", people, "--threshold", 0.8)[1]
    assert "2 tracks would be linked to 1 persons; --apply does it" in output
    assert persons(people)[4:] == ["", ""]
    output = reid("link", people, "--threshold", 0.8, "--camera", 2)[1]
    assert "0 tracks would be linked to 0 persons\n" in output
    assert "were linked" in reid("link", people, "--threshold", 0.8, "--apply")[1]
    assert persons(people)[4:] == ["p-000005-2", "p-000005-2"]


def test_without_tracks_of_nobody_known_it_says_where_they_come_from(reid, people):
    with Gallery.open(people) as gallery:
        gallery.remove([4, 5, 6])
    for words in (["identify"], ["identify", "--dry-run"], ["link"], ["link", "--apply"]):
        action, *options = words
        code, output, _ = reid(action, people, "--threshold", 0.8, *options)
        assert (code, "0 tracks" in output) == (0, False)
        assert f"{people}: no track of nobody known was found" in output
        assert "'gallery add --tracks FILE.csv'" in output
        assert told(reid(action, people, "--threshold", 0.8, "--json", *options))


def test_corrections(reid, people):
    answer = told(reid("split", people, "anna", "--tracks", "1:2", "--json"))
    assert answer == {"person": "p-000002-2"}
    assert persons(people)[:3] == ["anna", "p-000002-2", "bert"]
    assert "1 rows show bert now" in reid("merge", people, "bert", "p-000002-2")[1]
    assert "bert is called 'Bert B.' now" in reid("rename", people, "bert", "Bert B.")[1]
    assert "has no name" in reid("rename", people, "bert", "")[1]
    (undone,) = [told(reid("undo", people, "--json"))["undone"]]
    assert undone["rows"][0]["before"] == ["bert", "Bert B."]
    numbers = [c["number"] for c in told(reid("undo", people, "--list", "--json"))["undoable"]]
    assert numbers == sorted(numbers, reverse=True)
    for number in numbers:
        assert reid("undo", people, number)[0] == 0
    assert persons(people)[:3] == ["anna", "anna", "bert"]
    assert "there is nothing to undo" in reid("undo", people, "--list")[1]


def test_reembed(reid, people, tmp_path, monkeypatch):
    monkeypatch.setattr(
        FakeEmbedder,
        "__call__",
        lambda self, pictures: np.stack([np.eye(8, dtype=np.float32)[p[0] % 8] for p in pictures]),
    )
    code, _, problems = reid("reembed", people, "--run", "runs/b")
    assert (code, "6 of 6 rows of" in problems, "--drop-lost" in problems) == (3, True, True)
    code, output, _ = reid("reembed", people, "--run", "runs/b", "--drop-lost")
    assert (code, "6 rows lost; a threshold must be calibrated again" in output) == (0, True)
    stats = told(reid("stats", people, "--json"))
    assert (stats["rows"], stats["fingerprint"], stats["run"]) == (
        0,
        "model of b",
        str(Path("runs/b").resolve()),
    )
    assert reid("reembed", people, "--run", "runs/b")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["identify", "{people}"], 2, "no threshold of"),
        (["identify", "{people}", "x.jpg", "--tracks", "x.csv"], 2, "in the table"),
        (["identify", "{people}", "{people}/../x.jpg"], 3, "say which camera it was with --camera"),
        (
            ["identify", "{people}", "{people}/../x.jpg", "--camera", "1", "--run", "b"],
            5,
            "made by",
        ),
        (["link", "{people}"], 2, "no threshold of"),
        (["link", "{people}", "--since", "noon"], 3, "'noon' is not a moment"),
        (["merge", "{people}", "anna", "berd"], 2, "did you mean 'bert'"),
        (["split", "{people}", "anna"], 2, "say which rows or tracks"),
        (["split", "{people}", "anna", "--tracks", "17"], 2, "write CAMERA:TRACK"),
        (["split", "{people}", "anna", "--tracks", "1:"], 2, "write CAMERA:TRACK"),
        (["rename", "{people}", "carl", "Carl"], 2, "no person 'carl'"),
        (["undo", "{people}"], 2, "nothing to undo"),
        (["undo", "{people}", "3", "--list"], 2, "leave the number out"),
    ],
)
def test_refusals(reid, people, arguments, code, sentence):
    (people.parent / "x.jpg").write_bytes(b"c")
    found, _, problems = reid(*(argument.format(people=people) for argument in arguments))
    assert (found, sentence in problems) == (code, True), problems


@pytest.mark.parametrize(
    "action", ["identify", "link", "merge", "split", "rename", "undo", "reembed"]
)
def test_help_has_an_example(reid, capsys, action):
    with pytest.raises(SystemExit) as end:
        reid(action, "--help")
    assert end.value.code == 0
    assert f"reid-attn gallery {action} " in capsys.readouterr().out


@pytest.mark.parametrize("row", [2**63, -(2**63) - 1, 10**30])
def test_a_row_number_beyond_all_is_not_there(reid, people, row):
    for words in (["remove", people, row], ["search", people, f"--row={row}"]):
        code, _, problems = reid(*words)
        assert (code, problems) == (2, f"error: row {row} is not in the gallery {people}\n")


def test_a_deeply_nested_attribute_is_a_text_like_any_other(reid, people):
    words = ["search", people, "--row", 1, "--where", f"x={'[' * 100_000}", "--json"]
    assert told(reid(*words))["queries"][0]["hits"] == []
