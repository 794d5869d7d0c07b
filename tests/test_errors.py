"""The family of errors: exit codes, and what their sentences say."""

from pathlib import Path

import pytest

from reid_attn import errors
from reid_attn.errors import (
    Interrupted,
    MissingExtra,
    ReidError,
    UsageError,
    nearest,
    refuse_single,
)

CODES = {
    "ReidError": 1,
    "UsageError": 2,
    "MissingExtra": 2,
    "DataError": 3,
    "DamagedError": 4,
    "MismatchError": 5,
    "DiskError": 6,
    "LockedError": 7,
}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_every_error_has_its_exit_code(name: str, code: int) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, ReidError)
    assert kind.exit_code == code


def test_there_is_no_other_error() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert kinds - {"Iterable"} == {*CODES, "Interrupted"}


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143)])
def test_an_interruption_exits_as_its_signal_does(signal: int, code: int) -> None:
    error = Interrupted("saved", signal)
    assert error.exit_code == code
    assert str(error) == "saved"
    assert ReidError.exit_code == 1, "the code belongs to this one error"


def test_a_missing_extra_names_the_command_that_helps() -> None:
    expected = "faiss is not installed: install the extra with pip install 'reid-attn[cpu]'"
    assert str(MissingExtra("faiss", "cpu")) == expected


@pytest.mark.parametrize("single", ["a.jpg", b"content", Path("a.jpg"), ""])
def test_a_text_is_no_list(single: object) -> None:
    refuse_single(persons=["anna"], cameras=None, rows=[])
    with pytest.raises(UsageError, match=r"^pictures is a single .*: give a list, even of one$"):
        refuse_single(persons=["anna"], pictures=single)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("epoch", " (did you mean 'epochs'?)"),
        ("epocs", " (did you mean 'epochs'?)"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_nearest_spelling(word: str, hint: str) -> None:
    assert nearest(word, iter(["seed", "epochs", "epics"])) == hint


def test_nearest_spelling_among_nothing() -> None:
    assert nearest("word", []) == ""
