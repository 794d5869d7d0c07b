"""`reid-attn gallery` from the first word to the exit code, with a model of eight numbers."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from reid_attn.commands import main
from reid_attn.errors import DataError
from reid_attn.gallery import Gallery

NAMES = [
    "0001_c1s1_1.jpg",
    "0001_c2s1_2.jpg",
    "0002_c1s1_3.jpg",
    "0000_c3s1_4.jpg",
    "-1_c1s1_5.jpg",
]


class FakeEmbedder:
    """The run's name is its fingerprint; a picture's content draws its vector."""

    dimension = 8

    def __init__(self, run):
        self.fingerprint = f"model of {Path(run).name}"

    def __call__(self, pictures):
        seeds = [hashlib.sha256(path.read_bytes()).digest()[0] for path in pictures]
        rows = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def reid(monkeypatch, capsys):
    """Runs a command line; returns (exit code, output, problems)."""
    monkeypatch.setattr("reid_attn.features.Embedder", FakeEmbedder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code = main(["gallery", *map(str, arguments)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def people(tmp_path, reid):
    folder = tmp_path / "people"
    assert reid("create", folder, "--run", "runs/a", "--purpose", "a test", "--no-pictures")[0] == 0
    return folder


def test_from_creation_to_figures(reid, people, pictures):
    code, output, _ = reid("add", people, pictures)
    assert (code, output) == (0, f"{people}: 4 pictures added, 0 were there already, 4 in all\n")
    assert "0 pictures added, 4 were there already" in reid("add", people, pictures)[1]
    code, output, _ = reid("search", people, pictures / NAMES[0], "-k", 2, "--not-camera", 1)
    assert code == 0
    assert "0001" in output or "0000" in output
    assert "0002" not in output
    code, output, _ = reid("stats", people)
    figures = dict(line.split(maxsplit=1) for line in output.split("\n") if line.strip())
    assert code == 0
    assert (figures["rows"].strip(), figures["persons"].strip()) == ("4", "3")
    assert (figures["run"].strip(), figures["purpose"].strip()) == (
        str(Path("runs/a").resolve()),
        "a test",
    )
    assert (figures["pictures"].strip(), figures["store"].strip()) == (
        "no",
        "index exact, recall 1",
    )


def test_the_searched_picture_comes_first(reid, people, pictures):
    reid("add", people, pictures)
    lines = reid("search", people, pictures / NAMES[2])[1].splitlines()
    first = next(line for line in lines if line.split()[:1] == ["1"])
    assert "1.0000" in first
    assert NAMES[2] in first


def test_a_person_by_name(reid, people, tmp_path):
    picture = tmp_path / "[red]a\nb.jpg"
    picture.write_bytes(b"x")
    assert reid("add", people, picture, "--person", "[bold]anna", "--camera", 7)[0] == 0
    output = reid("search", people, picture)[1]
    assert "[bold]anna" in output
    assert r"[red]a\nb.jpg" in output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["create", "{people}", "--run", "runs/a"], 2, "already"),
        (["add", "{people}", "{pictures}", "--person", "anna"], 2, "go together"),
        (["add", "{people}", "{pictures}", "--camera", "1"], 2, "go together"),
        (["add", "{people}", "{people}"], 3, "there is no picture"),
        (["add", "{people}", "{pictures}/0001_c1s1_9.jpg"], 3, "there is no file or folder"),
        (["add", "{people}", "nope_dir"], 3, "error: there is no file or folder nope_dir: check"),
        (["search", "{people}", "nope.jpg"], 3, "error: there is no file or folder nope.jpg: ch"),
        (["identify", "{people}", "nope.jpg"], 3, "there is no file or folder nope.jpg: check"),
        (["add", "{people}", "{pictures}", "--run", "runs/b"], 5, "made by the model"),
        (["search", "{people}", "{pictures}/0001_c1s1_1.jpg"], 2, "is empty"),
        (["search", "{people}", "{pictures}/0001_c1s1_1.jpg", "-k", "0"], 2, "at least 1"),
        (["stats", "{pictures}"], 2, "gallery create"),
    ],
)
def test_refusals(reid, people, pictures, arguments, code, sentence):
    places = {"people": people, "pictures": pictures}
    found, _, problems = reid(*(argument.format(**places) for argument in arguments))
    assert found == code
    assert sentence in problems


def test_pictures_in_a_folder_for_each_person_are_sent_to_a_table(reid, people, tmp_path):
    for name in ("anna", "bert"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "x.jpg").write_bytes(name.encode())
    for action in ("add", "identify"):
        code, _, problems = reid(action, people, tmp_path / "photos")
        assert (code, "2 of 2 pictures have no name like 0002_c1s1" in problems) == (3, True)
        assert "the same for all of them, or list each" in problems
        assert "--tracks FILE.csv" in problems


def test_a_gallery_without_a_run_asks_for_one(reid, tmp_path, pictures):
    Gallery.create(tmp_path / "people", fingerprint="model of a", dimension=8, pictures=False)
    code, _, problems = reid("add", tmp_path / "people", pictures)
    assert (code, "--run RUN" in problems) == (2, True)
    assert reid("add", tmp_path / "people", pictures, "--run", "runs/a")[0] == 0


@pytest.mark.parametrize(
    "action",
    [
        "create",
        "add",
        "search",
        "calibrate",
        "stats",
        "verify",
        "backup",
        "remove",
        "forget",
        "expire",
        "export",
    ],
)
def test_help_has_an_example(reid, capsys, action):
    with pytest.raises(SystemExit) as end:
        reid(action, "--help")
    assert end.value.code == 0
    assert f"reid-attn gallery {action} " in capsys.readouterr().out


def told(answer):
    """The JSON that a command printed."""
    code, output, problems = answer
    assert code == 0, problems
    return json.loads(output)


@pytest.fixture
def no_run(monkeypatch):
    """From now on no run can be read."""

    def refuse(run):
        raise DataError(f"{run} holds no finished checkpoint.")

    monkeypatch.setattr("reid_attn.features.Embedder", refuse)


def test_the_gallery_knows_its_run_from_any_folder(reid, people, pictures, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "4 pictures added" in reid("add", people, pictures)[1]


def test_a_run_that_has_moved_can_be_named(reid, people, pictures, no_run):
    code, _, problems = reid("add", people, pictures)
    assert code == 3
    assert f"the run that the gallery {people} remembers cannot be used" in problems
    assert f"--run RUN where it is now: {Path('runs/a').resolve()} holds no" in problems


def test_each_row_that_is_named_is_searched_for(reid, people, pictures):
    reid("add", people, pictures)
    arguments = ("--row", 1, "--row", 3, 2, "--other-cameras-only", "--json")
    found = told(reid("search", people, *arguments))["queries"]
    assert [query["query"] for query in found] == ["row 1", "row 3", "row 2"]
    with Gallery.open(people) as gallery:
        cameras = [row.camera for row in gallery.store.get([1, 3, 2])]
    for own, query in zip(cameras, found, strict=True):
        assert own not in {hit["camera"] for hit in query["hits"]}


def test_a_row_is_searched_for_without_its_run(reid, people, pictures, no_run):
    with Gallery.open(people) as gallery:
        gallery.add_vectors(np.eye(8)[:2], ["a", "b"], [1, 2], ["a", "b"], [b"a" * 32, b"b" * 32])
    assert [
        hit["row"]
        for hit in told(reid("search", people, "--row", 1, "--json"))["queries"][0]["hits"]
    ] == [2]


def test_every_command_speaks_json(reid, tmp_path, pictures):
    folder, picture = tmp_path / "people", pictures / NAMES[0]
    made = told(reid("create", folder, "--run", "runs/a", "--no-pictures", "--json"))
    assert (made["dimension"], made["keep_days"]) == (8, 30)
    added = told(reid("add", folder, pictures, "--json"))
    assert added == {"added": 4, "there": 0, "rows": 4}
    (query,) = told(reid("search", folder, picture, "-k", 2, "--json"))["queries"]
    assert (query["known"], query["threshold"], len(query["hits"])) == (None, None, 2)
    first = query["hits"][0]
    assert (first["rank"], first["row"], first["person"]) == (1, 2, "0001")
    assert first["score"] == pytest.approx(1, abs=1e-6)
    assert told(reid("stats", folder, "--json"))["rows"] == 4
    assert told(reid("verify", folder, "--json"))["rows"] == 4
    target = tmp_path / "copy"
    assert told(reid("backup", folder, target, "--json")) == {"backup": str(target)}
    assert told(reid("verify", target, "--json"))["rows"] == 4
    moved = str(tmp_path / "moved")
    assert told(reid("copy", folder, moved, "--json")) == {"rows": 4, "target": moved}
    assert told(reid("verify", moved, "--json"))["rows"] == 4
    out = tmp_path / "out"
    assert told(reid("export", folder, "0001", "-o", out, "--json"))["rows"] == 2
    assert told(reid("remove", folder, 4, "--json")) == {"removed": 1, "rows": 3}
    receipt = told(reid("forget", folder, "0001", "--json"))
    assert (receipt["rows"], receipt["pieces_found_after"]) == ([2, 3], 0)
    assert told(reid("expire", folder, "--json"))["rows"] == []
    assert told(reid("stats", folder, "--json"))["erased"] == 2


def test_a_receipt_of_milvus_is_told_too(reid, tmp_path, pictures, monkeypatch):
    pytest.importorskip("milvus_lite")
    monkeypatch.chdir(tmp_path)
    place = f"milvus:{tmp_path}/m.db/people"
    reid("create", place, "--run", "runs/a", "--no-pictures")
    assert told(reid("add", place, pictures, "--json"))["rows"] == 4
    code, output, problems = reid("forget", place, "0001")
    assert (code, "2 rows deleted, of which 0 are found now" in output) == (0, True), problems
    assert "which proves nothing. Not reached:\n  bytes of the deleted rows" in output
    assert told(reid("expire", place, "--json"))["rows"] == []
    assert f"{place}: nothing had expired; compaction: " in reid("expire", place)[1]


def test_lost_lines_of_the_log_can_be_acknowledged(reid, people, tmp_path):
    assert reid("verify", people, "--acknowledge")[0] == 2
    assert reid("expire", people)[0] == 0
    log = people / "audit.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert reid("verify", people)[0] == 4
    assert "lines 2 to 2 of the audit log are missing" in reid("verify", people, "--acknowledge")[1]
    assert len(told(reid("verify", people, "--json"))["gaps"]) == 1
    assert reid("backup", people, tmp_path / "copy")[0] == 0


def test_sentences_say_what_was_done(reid, people, pictures, tmp_path):
    reid("add", people, pictures)
    assert "4 rows are as they were written" in reid("verify", people)[1]
    assert "1 rows removed, 3 are left" in reid("remove", people, 1)[1]
    output = reid("forget", people, "0002", "--receipt", tmp_path / "receipt.json")[1]
    assert "1 rows erased; none of their" in output
    assert "backups and copies" in output
    assert json.loads((tmp_path / "receipt.json").read_text())["purpose"] == "a test"
    output = reid("search", people, pictures / NAMES[1])[1]
    assert "No threshold is known" in output
    assert "Nothing was searched" not in output
    output = reid("search", people, pictures / NAMES[1], "--camera", 9)[1]
    assert "Nothing was searched: no other picture fulfils the filters" in output


def test_nothing_expired_is_told_as_that(reid, people, pictures):
    reid("add", people, pictures)
    reid("remove", people, 1)
    code, output, _ = reid("expire", people)
    sentence = "nothing had expired; its file was written anew, without what was deleted before"
    assert (code, output) == (0, f"{people}: {sentence}\n")


def test_an_interrupted_add_says_that_it_goes_on(reid, people, pictures, monkeypatch):
    monkeypatch.setattr("reid_attn.gallery.adding.PART", 2)
    with monkeypatch.context() as patch:
        patch.setattr(FakeEmbedder, "__call__", stopping_at_the_third(FakeEmbedder.__call__))
        code, _, problems = reid("add", people, pictures)
    assert code == 130
    assert "stopped; what was added is kept (2 pictures at a time)" in problems
    assert "the same command again goes on" in problems
    assert "2 pictures added, 2 were there already, 4 in all" in reid("add", people, pictures)[1]


def stopping_at_the_third(embed):
    """`embed` for two pictures, and Ctrl-C at the next."""
    seen = []

    def call(self, pictures):
        seen.extend(pictures)
        if len(seen) > 2:
            raise KeyboardInterrupt
        return embed(self, pictures)

    return call


def test_an_export_holds_everything(reid, people, pictures, tmp_path):
    reid("add", people, pictures)
    reid("search", people, pictures / NAMES[0], "-k", 1)
    reid("search", people, pictures / NAMES[2], "-k", 1)
    assert reid("export", people, "0001", "-o", tmp_path / "out")[0] == 0
    found = json.loads((tmp_path / "out/person.json").read_text())
    assert [row["source"] for row in found["rows"]] == [str(pictures / n) for n in NAMES[:2]]
    assert all(len(row["vector"]) == 8 for row in found["rows"])
    assert [line["answers"][0]["rows"] for line in found["searches"]] == [[2]]


def test_search_by_folder_row_and_several_pictures(reid, people, pictures):
    reid("add", people, pictures)
    queries = told(reid("search", people, pictures, "--other-cameras-only", "--json"))["queries"]
    assert [query["query"] for query in queries] == sorted(str(pictures / n) for n in NAMES)
    cameras = {path.split("_c")[1][0] for path in (q["query"] for q in queries)}
    assert cameras == {"1", "2", "3"}
    for query in queries:
        own = int(query["query"].split("_c")[1][0])
        assert all(hit["camera"] != own for hit in query["hits"])
    (query,) = told(reid("search", people, "--row", 2, "--json"))["queries"]
    assert query["query"] == "row 2"
    assert 2 not in [hit["row"] for hit in query["hits"]]
    several = [pictures / name for name in NAMES[:2]]
    (query,) = told(reid("search", people, *several, "--one-person", "--json"))["queries"]
    assert {query["hits"][0]["person"], query["hits"][1]["person"]} == {"0001"}
    (query,) = told(reid("search", people, several[0], "--group", "person", "--json"))["queries"]
    assert sorted(hit["person"] for hit in query["hits"]) == ["0000", "0001", "0002"]


def test_tracks_times_and_attributes(reid, people, pictures, tmp_path):
    table = tmp_path / "tracks.csv"
    table.write_text(
        "path,camera,track,time,colour\n"
        f"pictures/{NAMES[0]},1,7,2026-05-01T10:00,red\n"
        f"pictures/{NAMES[1]},2,8,2026-05-01T11:00,blue\n"
    )
    for added in (2, 0):
        assert told(reid("add", people, "--tracks", table, "--json"))["added"] == added
    for options, row in (
        (["--where", "colour=red"], 1),
        (["--since", "2026-05-01T10:30"], 2),
        (["--until", "2026-05-01T10:30"], 1),
        (["--camera", "2"], 2),
        (["--not-camera", "2"], 1),
    ):
        answer = told(reid("search", people, pictures / NAMES[2], *options, "--json"))
        assert [hit["row"] for hit in answer["queries"][0]["hits"]] == [row], options
    assert "unknown, track 7" in reid("search", people, pictures / NAMES[0])[1]


def test_the_decision_is_shown(reid, tmp_path, monkeypatch):
    folder = tmp_path / "people"
    reid("create", folder, "--run", "runs/a", "--no-pictures")
    generator = np.random.default_rng(0)
    vectors = np.repeat(generator.normal(size=(20, 8)), 2, axis=0)
    vectors += 0.05 * generator.normal(size=vectors.shape)
    persons = [f"{number // 2}" for number in range(40)]
    with Gallery.open(folder) as gallery:
        cameras, digests = [0, 1] * 20, [bytes([n]) * 32 for n in range(40)]
        gallery.add_vectors(vectors, persons, cameras, persons, digests)
    output = reid("calibrate", folder, "--false-match-rate", 0.2)[1]
    assert "known from 0." in output
    measured = told(reid("calibrate", folder, "--false-match-rate", 0.2, "--json"))
    rates = measured["wanted_rate"], measured["measured_rate"]
    assert rates[0] == 0.2 != rates[1]
    threshold = told(reid("stats", folder, "--json"))["threshold"]
    (query,) = told(reid("search", folder, "--row", 3, "--json"))["queries"]
    assert (query["known"], query["threshold"]) == (True, threshold)
    assert (query["wanted_rate"], query["measured_rate"]) == rates
    output = reid("search", folder, "--row", 3)[1]
    assert "Somebody like this is in the gallery" in output
    assert f"{rates[1]:.1%} of the unknown were accepted (wanted: 20.0%)" in output
    assert "a person decides" in output
    picture = tmp_path / "stranger.jpg"
    picture.write_bytes(b"stranger")
    (query,) = told(reid("search", folder, picture, "--json"))["queries"]
    assert query["known"] == (query["hits"][0]["score"] >= threshold)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["add", "{people}"], 2, "one of the two"),
        (["add", "{people}", "{pictures}", "--tracks", "x.csv"], 2, "one of the two"),
        (
            ["add", "{people}", "--tracks", "x.csv", "--person", "a", "--camera", "1"],
            2,
            "in the ta",
        ),
        (["add", "{people}", "--tracks", "{people}/x.csv"], 3, "could not read"),
        (["search", "{people}"], 2, "one of the two"),
        (["search", "{people}", "a.jpg", "--row", "1"], 2, "one of the two"),
        (["search", "{people}", "--row", "1", "--one-person"], 2, "joins pictures, and no rows"),
        (["search", "{people}", "a.jpg", "--where", "colour"], 2, "write KEY=VALUE"),
        (["search", "{people}", "a.jpg", "--since", "noon"], 3, "'noon' is not a moment"),
        (["search", "{people}", "{people}/../a.jpg", "--other-cameras-only"], 3, "--not-camera N"),
        (["search", "{people}", "--row", "9"], 2, "row 9 is not in the gallery"),
        (["create", "{people}", "--run", "r", "--keep-days", "x"], 2, "--keep-days is 'x'"),
        (["create", "{people}", "--run", "r", "--keep-days", "0"], 2, "kept for 0 days: give 1"),
        (
            ["add", "{people}", "{pictures}", "--person", "a", "--camera", "-1"],
            3,
            "the camera -1 cannot",
        ),
        (["forget", "{people}", "anna"], 2, "no person 'anna'"),
        (["export", "{people}", "anna", "-o", "{pictures}"], 2, "exists already"),
        (["backup", "{people}", "{pictures}"], 2, "exists already"),
        (["remove", "{people}", "7"], 2, "row 7 is not in the gallery"),
        (["calibrate", "{people}"], 3, "cannot be measured"),
    ],
)
def test_more_refusals(reid, people, pictures, arguments, code, sentence):
    (people.parent / "a.jpg").write_bytes(b"a")
    places = {"people": people, "pictures": pictures}
    found, _, problems = reid(*(argument.format(**places) for argument in arguments))
    assert (found, sentence in problems) == (code, True), problems
