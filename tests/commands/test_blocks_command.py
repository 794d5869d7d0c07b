"""`blocks`, as it is called."""

import csv
import io

import pytest

from reid_attn import attention
from reid_attn.commands import main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["blocks", "--size", "64x32", "--names", "rga", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_is_readable_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    assert max(map(len, text.splitlines())) <= 80
    for shown in ("kept MiB", "rga", "stage 1", "256×16×8", "beyond ResNet-50", "25,048,128"):
        assert shown in text


def test_csv_has_one_tidy_line_for_each_place(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--format", "csv"))))
    assert [row["block"] for row in rows] == ["", *["rga"] * 6]
    first = rows[1]
    assert (first["channels"], first["height"], first["width"]) == ("256", "16", "8")
    assert int(first["parameters"]) == attention.parameter_count("rga", 256, (16, 8))
    plain, network, beyond = (float(rows[i]["kept_mib"]) for i in (0, 5, 6))
    assert beyond == pytest.approx(network - plain, abs=2e-4)


def test_markdown_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--format", "markdown").splitlines()
    assert lines[0] == "| block | place | map | parameters | GFLOP | kept MiB |"
    assert {line.count("|") for line in lines} == {7}


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_a_block_that_cannot_stand_has_a_dash_and_a_note(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["blocks", "--size", "32x32", "--names", "self_calibrated", "--format", form]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "– self_calibrated, stage 3 replace: " in text
    assert "–" in next(line for line in text.splitlines() if "stage 3 replace" in line)


def test_an_unknown_block_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", "--names", "rga,nope"]) == 2
    error = capsys.readouterr().err
    listed = ", ".join(attention.names())
    assert error == f"error: there is no attention block 'nope': use one of {listed}\n"
    assert main(["blocks", "--names", "rgaa"]) == 2
    assert "no attention block 'rgaa' (did you mean 'rga'?): use one" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["256", "256x", "axb", "16x128", "256x128x3", "99999x128", "-1x9"])
def test_a_wrong_size_is_one_sentence(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", f"--size={size}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --size is HEIGHTxWIDTH in pixels")
    assert error.count("\n") == 1


def test_names_may_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["blocks", "--size", "64x32", "--names", "eca, simam", "--format", "csv"]
    assert main(words) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["block"] for row in rows} == {"", "eca", "simam"}


def test_a_misspelt_block_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", "--names", "rga,simamm"]) == 2
    assert "did you mean 'simam'" in capsys.readouterr().err
