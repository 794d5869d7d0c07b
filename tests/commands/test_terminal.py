"""What is left of a command when its output cannot be taken, shown, or understood."""

import contextlib
import io
import json
import os
import re
import sys

import pytest

from reid_attn.commands import main
from reid_attn.gallery import Gallery


@pytest.fixture
def people(tmp_path):
    Gallery.create(tmp_path / "people", fingerprint="x", dimension=8, controller="Zoë")
    return str(tmp_path / "people")


@pytest.fixture
def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(OSError), os.fdopen(writing, "w") as stream:
        yield stream


@pytest.fixture
def full():
    with contextlib.suppress(OSError), open("/dev/full", "w") as stream:
        yield stream


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("command", ["stats", "verify"])
def test_nobody_reads_any_more(people, closed_pipe, monkeypatch, capsys, command, form):
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    assert main(["gallery", command, people, *form]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_full_disk_under_the_output(people, full, monkeypatch, capsys, form):
    monkeypatch.setattr(sys, "stdout", full)
    assert main(["gallery", "stats", people, *form]) == 6
    assert "could not print the results (No space left on device)" in capsys.readouterr().err


def test_errors_that_nobody_can_be_told(tmp_path, full, monkeypatch):
    monkeypatch.setattr(sys, "stderr", full)
    assert main(["gallery", "stats", str(tmp_path)]) == 2


def test_a_fault_of_ours_is_not_taken_for_one_of_the_disk(monkeypatch):
    def run(_):
        raise ConnectionResetError(104, "reset by peer")

    monkeypatch.setattr("reid_attn.commands.report.run", run)
    with pytest.raises(ConnectionResetError):
        main(["report", "x"])


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_an_encoding_lacks_is_spelt_out(people, monkeypatch, encoding):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding))
    name = f"{people}-\udcff"
    os.rename(people, name)
    assert main(["gallery", "stats", name]) == 0
    assert main(["gallery", "verify", name]) == 0
    shown = output.getvalue()
    assert b"people-\\udcff: 0 rows are" in shown
    assert (b"Zo\\xeb" if encoding == "ascii" else "Zoë".encode()) in shown
    assert main(["gallery", "verify", name, "--json"]) == 0
    assert json.loads(output.getvalue().splitlines()[-1])["rows"] == 0


def test_names_do_not_act_on_the_terminal(people, tmp_path, capsys):
    os.rename(people, tmp_path / "\x1b[32mgreen")
    assert main(["gallery", "verify", str(tmp_path / "\x1b[32mgreen")]) == 0
    assert "/\\x1b[32mgreen: 0 rows are" in capsys.readouterr().out
    assert main(["gallery", "stats", str(tmp_path / "\x1b[31mred\u202e")]) == 2
    error = capsys.readouterr().err
    assert "/\\x1b[31mred\\u202e: make one" in error
    assert "\x1b" not in error


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--features", "{}.npz", "-o", "out"],
        ["gallery", "stats", "{}"],
        ["gallery", "search", "people", "{}"],
        ["gallery", "export", "people", "anna", "-o", "{}"],
    ],
)
def test_a_name_that_is_too_long_is_one_sentence(people, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    long = "long" * 70
    assert main([word.format(long) for word in command]) == 2
    error = capsys.readouterr().err
    assert re.match(f"error: could not (use|write) {long}", error)
    assert error.count("\n") == 1
    assert "(File name too long)" in error
