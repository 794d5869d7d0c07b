"""Extraction: flip, neck, batches, unit length."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reid_attn.data import load
from reid_attn.data.images import find
from reid_attn.errors import DataError, UsageError
from reid_attn.features import Embedder, extract
from reid_attn.features.baselines import histograms, untrained
from reid_attn.models import load_trained
from reid_attn.settings import Settings


def changed(settings: Settings, **changes: object) -> Settings:
    evaluation = settings.evaluation.model_copy(update=changes)
    return settings.model_copy(update={"evaluation": evaluation})


@pytest.fixture(scope="module")
def pictures(sample: Path) -> list[Path]:
    return find(sample / "query")


def test_the_size_of_a_batch_changes_nothing_but_rounding(
    trained: Path, pictures: list[Path]
) -> None:
    network, settings, _ = load_trained(trained)
    whole = extract(network, pictures, settings)
    single = extract(network, pictures, changed(settings, batch=1))
    np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-5)
    assert whole.dtype == np.float32


def test_flip_is_the_mean_of_both_sides(trained: Path, pictures: list[Path]) -> None:
    network, settings, _ = load_trained(trained)
    plain = extract(network, pictures, settings)
    flipped = extract(network, pictures, changed(settings, flip=True))
    assert not np.allclose(plain, flipped)
    original = type(network).forward
    mirrored = 2 * flipped - plain

    def turned(self, images):
        return original(self, images.flip(3))

    type(network).forward = turned
    try:
        expected = extract(network, pictures, settings)
    finally:
        type(network).forward = original
    np.testing.assert_allclose(mirrored, expected, rtol=1e-3, atol=1e-4)


def test_before_and_after_the_neck(trained: Path, pictures: list[Path]) -> None:
    network, settings, _ = load_trained(trained)
    before = extract(network, pictures, changed(settings, feature="before_neck"))
    after = extract(network, pictures, settings)
    expected = network.neck(torch.from_numpy(before)).detach().numpy()
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5)


def test_the_mode_of_the_network_is_kept(trained: Path, pictures: list[Path]) -> None:
    network, settings, _ = load_trained(trained)
    statistics = network.neck.running_mean.clone()
    extract(network.train(), pictures[:2], settings)
    assert network.training
    assert torch.equal(network.neck.running_mean, statistics)


def test_an_embedder_gives_unit_rows_and_knows_its_model(
    trained: Path, pictures: list[Path]
) -> None:
    embedder = Embedder(trained)
    features = embedder([str(picture) for picture in pictures])
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)
    assert features.shape == (len(pictures), embedder.dimension)
    assert embedder.fingerprint == Embedder(trained).fingerprint
    assert embedder([]).shape == (0, embedder.dimension)


def test_an_unreadable_picture_is_named(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        Embedder(trained)([tmp_path / "broken.jpg"])


def test_a_path_is_not_taken_letter_by_letter() -> None:
    embedder = object.__new__(Embedder)  # it is refused before a network is needed
    with pytest.raises(UsageError, match=r"^pictures is a single str: give a list"):
        embedder("a.jpg")


def test_baselines_rank_the_same_pictures(tiny: Settings) -> None:
    dataset = load(tiny.data.source)
    for measured in (untrained(tiny, dataset), histograms(tiny, dataset)):
        assert len(measured.query) == len(dataset.query)
        assert 0 <= measured.rank().mAP <= 1
    again = untrained(tiny, dataset)
    np.testing.assert_array_equal(again.query.vectors, untrained(tiny, dataset).query.vectors)
