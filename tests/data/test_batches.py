from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slow_augment import slow_augment

from reid_attn.data import Dataset, Picture, batches, images
from reid_attn.data.augment import normalise
from reid_attn.data.batches import Batch, evaluation_batches, finish, train_batches
from reid_attn.data.cache import open_cache
from reid_attn.data.sampling import Shard, plan_epoch
from reid_attn.errors import DataError, UsageError
from reid_attn.settings import AugmentSettings, BatchSettings, DataSettings, Settings

CPU = torch.device("cpu")


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


def settings(workers: int = 0, seed: int = 0, cache: str = "", **augment: Any) -> Settings:
    return Settings(
        seed=seed,
        data=DataSettings(height=48, width=32, workers=workers, cache=cache),
        batch=BatchSettings(persons=2, images=2),
        augment=AugmentSettings(**augment),
    )


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.indices == b.indices
        and torch.equal(finish(a, CPU), finish(b, CPU))
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


@pytest.mark.parametrize("crop", ["pad", "enlarge"])
def test_a_picture_is_decided_by_seed_epoch_and_place(dataset: Dataset, crop: str) -> None:
    chosen = settings(seed=4, crop=crop)
    place = 1
    for batch in train_batches(dataset, chosen, epoch=2):
        for image, index in zip(batch.images, batch.indices, strict=True):
            pixels = images.decode(dataset.train[index].path)
            generator = np.random.default_rng((4, 2, place))
            assert torch.equal(image, slow_augment(pixels, chosen.augment, generator, (48, 32)))
            place += 1


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_own_generator_is_left_alone(dataset: Dataset, workers: int) -> None:
    before = torch.get_rng_state()
    list(train_batches(dataset, settings(workers, auto=1.0), epoch=0))
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


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_takes_the_pictures_in_order(dataset: Dataset, workers: int) -> None:
    paths = [picture.path for picture in dataset.train][:7]
    drawn = list(evaluation_batches(paths, settings(workers).data, batch=3))
    assert [len(images) for images in drawn] == [3, 3, 1]
    expected = [normalise(images.decode(path, (48, 32))) for path in paths]
    assert torch.equal(torch.cat(drawn), torch.stack(expected))


def test_nothing_to_evaluate() -> None:
    assert list(evaluation_batches([], DataSettings(workers=2), batch=3)) == []


def test_interpolation_and_normalisation_are_those_of_the_settings(dataset: Dataset) -> None:
    data = DataSettings(height=48, width=32, interpolation="bicubic", normalisation="half")
    plain = AugmentSettings(flip=0.0, crop="none", erase=0.0)
    paths = [picture.path for picture in dataset.train]
    (evaluated,) = evaluation_batches(paths, data, batch=len(paths))
    pixels = [images.decode(path, (48, 32), "bicubic") for path in paths]
    assert torch.equal(evaluated, normalise(np.stack(pixels), "half"))
    chosen = Settings(data=data, batch=BatchSettings(persons=2, images=2), augment=plain)
    for batch in train_batches(dataset, chosen, epoch=0):
        assert torch.equal(batch.images, evaluated[batch.indices])


@pytest.mark.parametrize(("crop", "workers"), [("pad", 0), ("pad", 1), ("enlarge", 0), ("none", 0)])
def test_where_a_batch_is_finished_changes_nothing(
    dataset: Dataset, crop: str, workers: int
) -> None:
    options: dict[str, Any] = {"crop": crop, "auto": 0.3, "erase_fill": "mean"}
    expected = list(train_batches(dataset, settings(**options), epoch=1))
    drawn = list(train_batches(dataset, settings(workers, where="device", **options), epoch=1))
    assert all(batch.images.dtype == torch.uint8 for batch in drawn)
    assert equal(expected, drawn)
    assert equal(expected, drawn)  # to finish a batch leaves it as it is


@pytest.mark.parametrize("where", ["worker", "device"])
def test_pinning_changes_the_memory_alone(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(
        torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self.clone()
    )
    drawn = list(train_batches(dataset, settings(where=where), epoch=1))
    assert equal(drawn, [batch.pin_memory() for batch in drawn])
    assert len(pinned) == len(drawn) * (2 if where == "worker" else 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_finishes_a_batch_as_a_worker_does(dataset: Dataset) -> None:
    expected = train_batches(dataset, settings(), epoch=1)
    drawn = train_batches(dataset, settings(where="device"), epoch=1, pin=True)
    for one, other in zip(expected, drawn, strict=True):
        assert other.images.is_pinned()
        torch.testing.assert_close(finish(other, torch.device("cuda")).cpu(), one.images)


@pytest.mark.parametrize("where", ["worker", "device"])
@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_see_the_pictures_of_one(dataset: Dataset, size: int, where: str) -> None:
    batch = BatchSettings(persons=4, images=2)
    chosen = settings(where=where, crop="enlarge", auto=0.3).model_copy(update={"batch": batch})
    whole = list(train_batches(dataset, chosen, epoch=3))
    shares = [
        list(train_batches(dataset, chosen, epoch=3, shard=Shard(rank, size)))
        for rank in range(size)
    ]
    assert len(whole) >= 2
    for one, *parts in zip(whole, *shares, strict=True):
        assert [index for part in parts for index in part.indices] == one.indices
        assert torch.equal(torch.cat([part.labels for part in parts]), one.labels)
        finished = torch.cat([finish(part, CPU) for part in parts])
        assert torch.equal(finished, finish(one, CPU))
    rest = train_batches(dataset, chosen, epoch=3, first_step=1, shard=Shard(1, size))
    assert equal(list(rest), shares[1][1:])


def test_processes_that_cannot_share_a_batch(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="3 processes cannot share equally"):
        train_batches(dataset, settings(), epoch=0, shard=Shard(0, 3))


@pytest.mark.parametrize(
    ("crop", "where", "workers"),
    [("pad", "worker", 0), ("pad", "device", 1), ("enlarge", "device", 0), ("none", "worker", 0)],
)
def test_a_cache_changes_nothing(
    dataset: Dataset, tmp_path: Path, crop: str, where: str, workers: int
) -> None:
    options: dict[str, Any] = {"crop": crop, "auto": 0.3, "where": where}
    expected = list(train_batches(dataset, settings(**options), epoch=1))
    cached = settings(workers, cache=str(tmp_path / "cache"), **options)
    assert equal(expected, list(train_batches(dataset, cached, epoch=1)))
    cache = open_cache(dataset, cached)
    assert equal(expected, list(train_batches(dataset, cached, epoch=1, cache=cache)))


def test_with_a_cache_only_auto_augment_decodes(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(cache=str(tmp_path / "cache"), crop="enlarge")
    cache = open_cache(dataset, chosen)
    monkeypatch.setattr(batches, "decode", None)
    assert list(train_batches(dataset, chosen, epoch=0, cache=cache))


def test_balanced_cameras_come_from_the_data_set(dataset: Dataset) -> None:
    batch = BatchSettings(persons=2, images=2, cameras="balanced")
    chosen = settings().model_copy(update={"batch": batch})
    same = [Picture(picture.path, picture.person, picture.camera // 4) for picture in dataset.train]
    seen = Dataset("test", tuple(same), (), ())
    drawn = [batch.indices for batch in train_batches(seen, chosen, epoch=0)]
    assert drawn == plan_epoch(seen, chosen, 0)
    groups = [indices[i : i + 2] for indices in drawn for i in (0, 2)]
    assert sum(len({same[i].camera for i in group}) for group in groups) > len(groups)
