"""A gallery on a disk that forgets: no search may give another answer than before."""

import sys

import pytest

FLIP = """
import random, shutil
from pathlib import Path
from reid_attn.errors import DamagedError, ReidError
from reid_attn.gallery.local.connection import NAME

rows, dimension, flips, seed = map(int, sys.argv[2:6])
cached = sys.argv[6] == "cached"
sound, folder = Path(sys.argv[1], "sound"), Path(sys.argv[1], "flipped")
Gallery.create(sound, fingerprint="model-a", dimension=dimension)
names = [f"person {number}" for number in range(rows)]
vectors = np.stack([vector(name, dimension) for name in names])
with Gallery.open(sound) as gallery:
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    cameras = [number % 3 for number in range(rows)]
    gallery.add_vectors(vectors, names, cameras, names, digests)

def answers(gallery):
    return [gallery.search(vectors[n], 3, other_cameras_than=1) for n in range(0, rows, 15)]

with Gallery.open(sound) as gallery:
    expected = answers(gallery)
if not cached:
    Path(sound, "index.cache").unlink()
    Path(sound, "columns.cache").unlink()
content = Path(sound, NAME).read_bytes()
shutil.copytree(sound, folder)
generator = random.Random(seed)
outcomes = {"refused": 0, "unharmed": 0}
for flip in range(flips):
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    Path(folder, NAME).write_bytes(changed)
    try:
        gallery = Gallery.open(folder)
    except DamagedError:
        outcomes["refused"] += 1
        continue
    try:
        assert answers(gallery) == expected, f"seed {seed}: bit {bit} of byte {place}"
        gallery.verify()
        outcomes["unharmed"] += 1
    except DamagedError:
        outcomes["refused"] += 1
    finally:
        gallery.store._connection.close()  # without writing the cache
print(outcomes["refused"], outcomes["unharmed"])
"""


@pytest.mark.parametrize("cache", ["cached", "alone"])
@pytest.mark.parametrize(
    ("rows", "dimension", "flips"),
    [
        (60, 512, 40),  # vectors dominate, as in life
        (60, 4, 40),  # the structure of the file does
        pytest.param(60, 512, 2000, marks=pytest.mark.full),
        pytest.param(60, 4, 2000, marks=pytest.mark.full),
    ],
)
def test_a_flipped_bit_never_changes_an_answer(tmp_path, finish, rows, dimension, flips, cache):
    (line,) = finish(FLIP, tmp_path, rows, dimension, flips, 7, cache)
    refused, unharmed = map(int, line.split())
    assert refused + unharmed == flips
    sys.stderr.write(f"{flips} flips, {cache}: {refused} refused, {unharmed} without harm\n")
    assert refused > flips / 10, "no guard was ever needed: the test is too weak"
