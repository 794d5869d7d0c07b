"""The checksum of a record: no two records may encode alike."""

import hashlib
import itertools

import numpy as np
import pytest

from reid_attn.errors import DataError
from reid_attn.gallery.record import attribute_value, checksum


def test_records_that_look_alike_differ():
    alike = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), (b"ab", "c"), ("", "abc")]
    alike += [(1,), ("1",), (b"1",), (1.0,), (None,), ("None",), (), ("str 1 a",), ("a", "str 1 ")]
    for one, other in itertools.combinations(alike, 2):
        assert checksum(one) != checksum(other), (one, other)


def test_the_encoding_is_the_one_of_galleries_that_exist():
    written_out = b"int 1 7" + b"str 2 \xc3\xa9" + b"bytes 2 \x00\xff" + b"NoneType 4 None"
    assert checksum((7, "é", b"\x00\xff", None)) == hashlib.sha256(written_out).digest()


@pytest.mark.parametrize(
    "value", [True, np.str_("a"), np.bytes_(b"a"), np.int64(1), np.float64(1), bytearray(b"a"), []]
)
def test_what_would_come_back_as_another_type_has_no_checksum(value):
    with pytest.raises(DataError, match="cannot be stored"):
        checksum((value,))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("true", True),
        ('"7"', "7"),
        ("red", "red"),
        ("", ""),
        ("[1]", "[1]"),
    ],
)
def test_a_value_is_json_or_its_own_text(text, value):
    found = attribute_value(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "null", "{}", "[" * 100_000])
def test_what_no_attribute_can_be_is_its_own_text(text):
    assert attribute_value(text) == text
