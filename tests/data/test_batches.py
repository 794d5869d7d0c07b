import os
import signal
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from reid_attn.data import Dataset, Picture, batches, images
from reid_attn.data.augment import normalise
from reid_attn.data.batches import Batch, epoch_batches, evaluation_batches, train_batches
from reid_attn.errors import DataError, ReidError, UsageError
from reid_attn.settings import BatchSettings, DataSettings, Settings

LABELS = [person for person, count in enumerate([1, 3, 4, 9, 12, 4, 5]) for _ in range(count)]


def plan(epoch: str, seed: int = 0, number: int = 0) -> list[list[int]]:
    settings = BatchSettings(persons=3, images=4, epoch=epoch)
    return epoch_batches(LABELS, settings, seed, number)


@pytest.mark.parametrize("epoch", ["images", "persons"])
def test_each_batch_has_p_persons_with_k_pictures(epoch: str) -> None:
    for number in range(20):
        for indices in plan(epoch, number=number):
            persons = [LABELS[i] for i in indices]
            assert persons == [person for person in persons[::4] for _ in range(4)]
            assert len(set(persons)) == 3
            for first in range(0, 12, 4):
                own = LABELS.count(persons[first])
                assert len(set(indices[first : first + 4])) == min(4, own)


def test_an_epoch_of_images_draws_until_too_few_persons_are_left() -> None:
    for number in range(20):
        drawn = plan("images", number=number)
        groups = Counter({person: max(1, LABELS.count(person) // 4) for person in range(7)})
        used = Counter(LABELS[i] for indices in drawn for i in indices[::4])
        left = groups - used
        assert used <= groups
        assert len(left) < 3
        often = Counter(i for indices in drawn for i in indices)
        assert all(often[i] <= 1 for i in often if LABELS.count(LABELS[i]) >= 4)


def test_an_epoch_of_persons_takes_each_once() -> None:
    for number in range(20):
        drawn = plan("persons", number=number)
        assert len(drawn) == 2
        persons = [LABELS[i] for indices in drawn for i in indices[::4]]
        assert len(set(persons)) == len(persons) == 6


def test_751_persons_make_46_batches() -> None:
    labels = list(range(751)) * 2
    settings = BatchSettings(persons=16, images=4, epoch="persons")
    assert len(epoch_batches(labels, settings, 0, 0)) == 46


@pytest.mark.parametrize("epoch", ["images", "persons"])
def test_seed_and_epoch_decide_the_order(epoch: str) -> None:
    assert plan(epoch, 1, 2) == plan(epoch, 1, 2)
    assert plan(epoch, 1, 2) != plan(epoch, 1, 3)
    assert plan(epoch, 1, 2) != plan(epoch, 2, 2)


def test_too_few_persons() -> None:
    with pytest.raises(UsageError, match=r"batch\.persons is 16, but there are only 7 persons"):
        epoch_batches(LABELS, BatchSettings(persons=16), 0, 0)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five persons, numbered with gaps, with five pictures each."""
    generator = np.random.default_rng(0)
    pictures = []
    for person in (3, 5, 8, 9, 20):
        for i in range(5):
            path = tmp_path / f"{person}_{i}.jpg"
            pixels = generator.integers(0, 256, (40, 20, 3), dtype=np.uint8)
            path.write_bytes(images.encode_jpeg(pixels))
            pictures.append(Picture(path, person, i))
    return Dataset("test", tuple(pictures), (), ())


def settings(workers: int = 0, seed: int = 0) -> Settings:
    return Settings(
        seed=seed,
        data=DataSettings(height=48, width=32, workers=workers),
        batch=BatchSettings(persons=2, images=2),
    )


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.indices == b.indices
        and torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        for a, b in zip(first, second, strict=True)
    )


def test_a_batch_holds_what_it_says(dataset: Dataset) -> None:
    drawn = list(train_batches(dataset, settings(), epoch=0))
    assert len(drawn) >= 4
    for batch in drawn:
        assert batch.images.shape == (4, 3, 48, 32)
        assert batch.images.dtype == torch.float32
        assert batch.labels.dtype == torch.int64
        classes = dataset.labels()
        assert batch.labels.tolist() == [classes[dataset.train[i].person] for i in batch.indices]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(dataset: Dataset, workers: int) -> None:
    alone = list(train_batches(dataset, settings(), epoch=1))
    assert equal(alone, list(train_batches(dataset, settings(workers), epoch=1)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_as_it_would_have(dataset: Dataset, workers: int) -> None:
    whole = list(train_batches(dataset, settings(), epoch=1))
    for first in (1, 3, len(whole)):
        rest = list(train_batches(dataset, settings(workers), epoch=1, first_step=first))
        assert equal(rest, whole[first:])


def test_each_epoch_and_each_seed_augments_anew(dataset: Dataset) -> None:
    def of_one_picture(seed: int, epoch: int) -> torch.Tensor:
        drawn = train_batches(dataset, settings(seed=seed), epoch)
        return next(b.images[b.indices.index(0)] for b in drawn if 0 in b.indices)

    seen = [of_one_picture(seed, epoch) for seed, epoch in ((0, 0), (0, 1), (0, 2), (1, 0))]
    assert not any(torch.equal(a, b) for a, b in pairwise(seen))


def test_a_picture_repeated_in_a_batch_is_augmented_twice(dataset: Dataset) -> None:
    lonely = Dataset("test", (dataset.train[0], dataset.train[5]), (), ())
    (batch,) = train_batches(lonely, settings(), epoch=0)
    assert batch.indices[0] == batch.indices[1]
    assert not torch.equal(batch.images[0], batch.images[1])


def test_the_order_and_each_picture_have_their_own_draws(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []

    def record(*key: int) -> np.random.Generator:
        keys.append(key)
        return np.random.default_rng(key)

    monkeypatch.setattr(batches, "_generator", record)
    drawn = sum(len(batch.indices) for batch in train_batches(dataset, settings(seed=4), epoch=2))
    assert keys == [(4, 2, place) for place in range(drawn + 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_own_generator_is_left_alone(dataset: Dataset, workers: int) -> None:
    before = torch.get_rng_state()
    list(train_batches(dataset, settings(workers), epoch=0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_is_named(dataset: Dataset, workers: int) -> None:
    path = dataset.train[7].path
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError) as caught:
        for epoch in range(3):
            list(train_batches(dataset, settings(workers), epoch))
    assert str(caught.value).startswith(f"{path} cannot be decoded")
    assert "Traceback" not in str(caught.value)


def test_too_few_persons_are_told_before_the_first_batch(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"batch\.persons"):
        train_batches(dataset, Settings(), epoch=0)


def die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: Path) -> None:
    signal.pause()


@pytest.mark.parametrize("fault", [die, hang])
def test_a_lost_worker_ends_the_epoch(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(batches, "HANG_SECONDS", 1)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(batches, "decode", fault)
    with pytest.raises(ReidError, match=r"a decoding worker stopped .* lower data\.workers"):
        list(train_batches(dataset, settings(workers=1), epoch=0))


def test_an_error_of_the_program_is_not_taken_for_a_lost_worker(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(batches, "decode", fail)
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        list(train_batches(dataset, settings(), epoch=0))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_takes_the_pictures_in_order(dataset: Dataset, workers: int) -> None:
    paths = [picture.path for picture in dataset.train][:7]
    drawn = list(evaluation_batches(paths, settings(workers).data, batch=3))
    assert [len(images) for images in drawn] == [3, 3, 1]
    expected = [normalise(images.decode(path, (48, 32))) for path in paths]
    assert torch.equal(torch.cat(drawn), torch.stack(expected))


def test_nothing_to_evaluate() -> None:
    assert list(evaluation_batches([], DataSettings(workers=2), batch=3)) == []
