"""`reid-attn gallery` from the first word to the exit code, with a model of eight numbers."""

import hashlib

import numpy as np
import pytest

from reid_attn.commands import main

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
        self.fingerprint = f"model of {run}"

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
    assert (figures["run"].strip(), figures["purpose"].strip()) == ("runs/a", "a test")


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
        (["add", "{people}", "{pictures}/anna.jpg"], 3, "no name like 0002_c1s1"),
        (["add", "{people}", "{pictures}/0001_c1s1_9.jpg"], 3, "could not read"),
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


def test_a_gallery_without_a_run_asks_for_one(reid, tmp_path, pictures):
    from reid_attn.gallery import Gallery

    Gallery.create(tmp_path / "people", fingerprint="model of runs/a", dimension=8, pictures=False)
    code, _, problems = reid("add", tmp_path / "people", pictures)
    assert (code, "--run RUN" in problems) == (2, True)
    assert reid("add", tmp_path / "people", pictures, "--run", "runs/a")[0] == 0


@pytest.mark.parametrize("action", ["create", "add", "search", "stats"])
def test_help_has_an_example(reid, capsys, action):
    with pytest.raises(SystemExit) as end:
        reid(action, "--help")
    assert end.value.code == 0
    assert f"reid-attn gallery {action} " in capsys.readouterr().out
