import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.data import Dataset, Picture
from reid_attn.data.sampling import Shard, epoch_batches, plan_epoch
from reid_attn.errors import UsageError
from reid_attn.settings import BatchSettings, Settings

LABELS = [person for person, count in enumerate([1, 3, 4, 9, 12, 4, 5]) for _ in range(count)]
CAMERAS = [i * i % 5 for i in range(len(LABELS))]


def plan(epoch: str, seed: int = 0, number: int = 0, cameras: str = "any") -> list[list[int]]:
    settings = BatchSettings(persons=3, images=4, epoch=epoch, cameras=cameras)
    return epoch_batches(LABELS, settings, seed, number, CAMERAS)


@pytest.mark.parametrize("cameras", ["any", "balanced"])
@pytest.mark.parametrize("epoch", ["images", "persons"])
def test_each_batch_has_p_persons_with_k_pictures(epoch: str, cameras: str) -> None:
    for number in range(20):
        for indices in plan(epoch, number=number, cameras=cameras):
            persons = [LABELS[i] for i in indices]
            assert persons == [person for person in persons[::4] for _ in range(4)]
            assert len(set(persons)) == 3
            for first in range(0, 12, 4):
                own = LABELS.count(persons[first])
                assert len(set(indices[first : first + 4])) == min(4, own)


@pytest.mark.parametrize("cameras", ["any", "balanced"])
def test_an_epoch_of_images_draws_until_too_few_persons_are_left(cameras: str) -> None:
    for number in range(20):
        drawn = plan("images", number=number, cameras=cameras)
        groups = Counter({person: max(1, LABELS.count(person) // 4) for person in range(7)})
        used = Counter(LABELS[i] for indices in drawn for i in indices[::4])
        left = groups - used
        assert used <= groups
        assert len(left) < 3
        often = Counter(i for indices in drawn for i in indices)
        assert all(often[i] <= 1 for i in often if LABELS.count(LABELS[i]) >= 4)


@pytest.mark.parametrize("cameras", ["any", "balanced"])
def test_an_epoch_of_persons_takes_each_once(cameras: str) -> None:
    for number in range(20):
        drawn = plan("persons", number=number, cameras=cameras)
        assert len(drawn) == 2
        persons = [LABELS[i] for indices in drawn for i in indices[::4]]
        assert len(set(persons)) == len(persons) == 6


@pytest.mark.parametrize(
    ("epoch", "digest"),
    [
        ("images", "95f54df535172eca16b5b65544db2c4594058f1e1babedd7340143652a93c0c5"),
        ("persons", "8c405e98644be1b9d93f13a8c27c2360c9d3f8c82b10ffbd1d7257049e166318"),
    ],
)
def test_old_runs_find_the_batches_they_began_with(epoch: str, digest: str) -> None:
    plans = [plan(epoch, seed, number) for seed in range(5) for number in range(4)]
    assert hashlib.sha256(json.dumps(plans).encode()).hexdigest() == digest


def test_751_persons_make_46_batches() -> None:
    labels = list(range(751)) * 2
    settings = BatchSettings(persons=16, images=4, epoch="persons")
    assert len(epoch_batches(labels, settings, 0, 0)) == 46


@pytest.mark.parametrize("cameras", ["any", "balanced"])
@pytest.mark.parametrize("epoch", ["images", "persons"])
def test_seed_and_epoch_decide_the_order(epoch: str, cameras: str) -> None:
    assert plan(epoch, 1, 2, cameras) == plan(epoch, 1, 2, cameras)
    assert plan(epoch, 1, 2, cameras) != plan(epoch, 1, 3, cameras)
    assert plan(epoch, 1, 2, cameras) != plan(epoch, 2, 2, cameras)


def test_too_few_persons() -> None:
    with pytest.raises(UsageError, match=r"batch\.persons is 16, but there are only 7 persons"):
        epoch_batches(LABELS, BatchSettings(persons=16), 0, 0)


def divisions(indices: tuple[int, ...], images: int, number: int) -> Iterator[list[Sequence[int]]]:
    """Every way to make `number` groups of `images` out of `indices`."""
    if number == 0:
        yield []
        return
    for group in combinations(indices, images):
        rest = tuple(i for i in indices if i not in group)
        for others in divisions(rest, images, number - 1):
            yield [group, *others]


def variety(groups: Sequence[Sequence[int]], cameras: Sequence[int]) -> int:
    return sum(len({cameras[i] for i in group}) for group in groups)


@given(
    cameras=st.lists(st.integers(0, 4), min_size=2, max_size=7),
    images=st.integers(2, 3),
    epoch=st.sampled_from(["images", "persons"]),
    seed=st.integers(0, 9),
)
def test_no_division_has_more_cameras_in_its_groups(
    cameras: list[int], images: int, epoch: str, seed: int
) -> None:
    settings = BatchSettings(persons=2, images=images, epoch=epoch, cameras="balanced")
    labels = [0] * len(cameras) + [1] * len(cameras)
    batches = epoch_batches(labels, settings, seed, 0, cameras * 2)
    number = 1 if epoch == "persons" else max(1, len(cameras) // images)
    groups = [
        [index % len(cameras) for index in batch[first : first + images]]
        for batch in batches
        for first in (0, images)
        if batch[first] < len(cameras)
    ]
    assert len(groups) == number
    if len(cameras) < images:
        assert variety(groups, cameras) == len(set(cameras))
        return
    assert len({i for group in groups for i in group}) == number * images
    everything = divisions(tuple(range(len(cameras))), images, number)
    assert variety(groups, cameras) == max(variety(groups, cameras) for groups in everything)


def test_balancing_neglects_no_picture() -> None:
    cameras = [0] * 7 + [1, 2]
    settings = BatchSettings(persons=2, images=4, cameras="balanced")
    often = Counter[int]()
    for epoch in range(400):
        for batch in epoch_batches([0] * 9 + [1] * 9, settings, 0, epoch, cameras * 2):
            often.update(index % 9 for index in batch)
    assert all(often[index] == 800 for index in (7, 8))  # the cameras with one picture
    assert all(620 < often[index] < 750 for index in range(7))  # 6 of 7, and 800 draws


def test_the_plan_of_a_data_set_is_that_of_its_persons_and_cameras() -> None:
    pictures = [
        Picture(None, 10 * (label + 1), camera)  # type: ignore[arg-type]
        for label, camera in zip(LABELS, CAMERAS, strict=True)
    ]
    dataset = Dataset("test", tuple(pictures), (), ())
    batch = BatchSettings(persons=3, images=4, cameras="balanced")
    found = plan_epoch(dataset, Settings(seed=5, batch=batch), 2)
    assert found == plan("images", 5, 2, "balanced")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shards_are_whole_persons_and_make_up_the_batch(size: int) -> None:
    batch = BatchSettings(persons=4, images=3)
    places = [Shard(rank, size).places(batch) for rank in range(size)]
    assert [i for place in places for i in range(12)[place]] == list(range(12))
    assert all(place.start % 3 == place.stop % 3 == 0 for place in places)


def test_persons_that_cannot_be_shared() -> None:
    with pytest.raises(UsageError, match=r"persons is 16, which 3 processes .* multiple of 3"):
        Shard(1, 3).places(BatchSettings(persons=16))
