"""Wrong use and data that cannot be kept are told as such: only damage is called damage."""

import threading

import numpy as np
import pytest

from reid_attn.errors import DamagedError, DataError, UsageError
from reid_attn.gallery import Gallery

DIMENSION = 8


def told_by(act):
    """The error that `act` raises in another thread."""
    found = []

    def run():
        try:
            act()
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


MISUSES = [lambda g: g.rows(), lambda g: g.search(np.ones(DIMENSION), 1), lambda g: g.remove([1])]


@pytest.mark.parametrize("act", MISUSES)
def test_a_closed_gallery_is_wrong_use_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        pass
    with pytest.raises(UsageError, match="use it until it is closed"):
        act(gallery)


@pytest.mark.parametrize("act", [*MISUSES, lambda g: g.close()])
def test_another_thread_is_wrong_use_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        gallery.rows()
        error = told_by(lambda: act(gallery))
        assert isinstance(error, UsageError), error
        assert "one gallery per process and thread" in str(error)
        assert gallery.verify() == 3


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.relabel({1: ("a\udc80", "")}, "rename"),
        lambda store: store.relabel({1: ("a\ud800", "")}, "rename"),
        lambda store: store._connection.execute("INSERT INTO refused VALUES (NULL, ?)", (b"",)),
        lambda store: store._connection.execute("UPDATE people SET camera = 'one'"),
    ],
)
def test_what_the_database_cannot_hold_is_bad_data_and_no_damage(folder, add_random, act):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        explained = gallery.store._connection.explained
        with pytest.raises(DataError, match="cannot hold this"), explained():
            act(gallery.store)
        assert gallery.verify() == 3


def test_numbers_given_twice_are_damage(folder, add_random):
    add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        link = gallery.store._connection
        with link.transaction("IMMEDIATE"):
            link.execute("UPDATE sqlite_sequence SET seq = 1")
        with pytest.raises(DamagedError, match="UNIQUE constraint failed"):
            gallery.add_vectors(np.ones((1, DIMENSION)), ["a"], [1], ["a"], [bytes(32)])
