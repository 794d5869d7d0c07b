"""A gallery from anywhere: what it holds is told as damage, and harms no file of the user."""

import contextlib
import os

import pytest

from reid_attn.errors import ReidError
from reid_attn.gallery import Gallery, audit

PRECIOUS = b"precious data\n" * 5


@pytest.mark.parametrize(
    "name",
    [
        audit.NAME,
        audit.HEAD,
        *("gallery.sqlite" + end for end in ("", "-wal", "-shm", "-journal")),
        *("index.cache", ".index.cache.PID.tmp", "columns.cache", ".columns.cache.PID.tmp"),
        "receipts",
    ],
)
@pytest.mark.filterwarnings("ignore:the index will be built again")
def test_no_link_leads_a_writer_out_of_it(tmp_path, folder, add_random, name):
    vectors = add_random(folder, 4)
    victim, link = tmp_path / "victim.txt", folder / name.replace("PID", str(os.getpid()))
    victim.write_bytes(PRECIOUS)
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    for act in (lambda g: g.search(vectors[0], 1), lambda g: g.forget("person 1")):
        with contextlib.suppress(ReidError), Gallery.open(folder) as gallery:
            act(gallery)
        assert victim.read_bytes() == PRECIOUS
