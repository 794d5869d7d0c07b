import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow_augment import slow_augment
from torchvision.transforms import functional

from reid_attn.data.augment import draw, normalise, place, source_sizes
from reid_attn.data.finish import Finish
from reid_attn.data.images import MEAN, NORMALISATIONS, STD, Pixels, resize
from reid_attn.data.jitter import UNCHANGED
from reid_attn.settings import AugmentSettings, DataSettings

SIZE = (64, 32)
DATA = DataSettings()
PLAIN = AugmentSettings(flip=0.0, crop="none", erase=0.0)


@pytest.fixture
def pixels() -> Pixels:
    """Noise without black, (64, 32, 3)."""
    return np.random.default_rng(0).integers(1, 256, (*SIZE, 3), dtype=np.uint8)


def augment(
    pixels: Pixels,
    settings: AugmentSettings,
    generator: np.random.Generator,
    size: tuple[int, int],
    data: DataSettings = DATA,
) -> torch.Tensor:
    """All parts in a row, for one picture."""
    drawn = draw(settings, size, generator)
    placed = np.zeros((1, *size, 3), np.uint8)
    place(resize(pixels, drawn.size), drawn.corner, placed[0])
    return Finish.of([drawn], data, settings)(torch.from_numpy(placed))[0]


def augmented(pixels: Pixels, settings: AugmentSettings, seed: int) -> torch.Tensor:
    return augment(pixels, settings, np.random.default_rng(seed), SIZE)


def with_(**changes: object) -> AugmentSettings:
    return PLAIN.model_copy(update=changes)


def test_normalising_agrees_with_torchvision(pixels: Pixels) -> None:
    for name, (mean, deviation) in NORMALISATIONS.items():
        expected = functional.normalize(functional.to_tensor(pixels.copy()), mean, deviation)
        for view in (pixels, np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]):
            assert torch.equal(normalise(view, name), expected)
        assert torch.equal(normalise(torch.tensor(pixels[None]), name)[0], expected)
    assert torch.equal(
        normalise(pixels), functional.normalize(functional.to_tensor(pixels.copy()), MEAN, STD)
    )


def test_switched_off_it_only_resizes(pixels: Pixels) -> None:
    assert torch.equal(augmented(pixels, PLAIN, 0), normalise(pixels))
    larger = resize(pixels, (90, 90))
    assert torch.equal(augmented(larger, PLAIN, 0), normalise(resize(larger, SIZE)))


def test_the_generator_decides_everything(pixels: Pixels) -> None:
    for crop in ("pad", "enlarge"):
        settings = AugmentSettings(crop=crop)
        torch.manual_seed(1)
        first = [augmented(pixels, settings, seed) for seed in range(8)]
        torch.manual_seed(2)
        again = [augmented(pixels, settings, seed) for seed in range(8)]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not any(torch.equal(first[0], other) for other in first[1:])


def test_mirroring(pixels: Pixels) -> None:
    assert torch.equal(augmented(pixels, with_(flip=1.0), 0), normalise(pixels).flip(2))
    mirrored = [
        augmented(pixels, with_(flip=0.5), seed).equal(normalise(pixels)) for seed in range(200)
    ]
    assert 70 < sum(mirrored) < 130


def test_padding_is_black_and_every_offset_occurs(pixels: Pixels) -> None:
    black = np.pad(pixels, ((2, 2), (2, 2), (0, 0)))
    windows = {
        (top, left): normalise(black[top : top + 64, left : left + 32])
        for top in range(5)
        for left in range(5)
    }
    seen = set()
    for seed in range(300):
        image = augmented(pixels, with_(crop="pad", padding=2), seed)
        found = [place for place, window in windows.items() if torch.equal(window, image)]
        assert len(found) == 1
        seen.update(found)
    assert seen == set(windows)


def test_enlarging_cuts_from_nine_eighths_half_of_the_time(pixels: Pixels) -> None:
    larger = normalise(resize(pixels, (72, 36)))
    windows = [larger[:, top : top + 64, left : left + 32] for top in range(9) for left in range(5)]
    plain = 0
    for seed in range(200):
        image = augmented(pixels, with_(crop="enlarge"), seed)
        if torch.equal(image, normalise(pixels)):
            plain += 1
        else:
            assert any(torch.equal(image, window) for window in windows)
    assert 70 < plain < 130


@pytest.mark.parametrize(("fill", "numbers"), [("zero", (0.0, 0.0, 0.0)), ("mean", MEAN)])
def test_erasing_fills_one_rectangle(
    pixels: Pixels, fill: str, numbers: tuple[float, float, float]
) -> None:
    whole = normalise(pixels)
    colour = torch.tensor(numbers).view(3, 1, 1)
    shares, aspects = [], []
    for seed in range(300):
        image = augmented(pixels, with_(erase=1.0, erase_fill=fill), seed)
        changed = (image != whole).any(0)
        rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
        tall, wide = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        patch = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(patch, colour.expand_as(patch))
        assert torch.equal(image[:, ~changed], whole[:, ~changed])
        shares.append(tall * wide / (64 * 32))
        aspects.append(tall / wide)
    assert 0.01 < min(shares) < 0.04
    assert 0.3 < max(shares) < 0.42
    assert 0.2 < min(aspects) < 0.6
    assert 2.5 < max(aspects) < 4.5


def test_erasing_happens_with_its_probability(pixels: Pixels) -> None:
    whole = normalise(pixels)
    erased = [not augmented(pixels, with_(erase=0.3), seed).equal(whole) for seed in range(300)]
    assert 60 < sum(erased) < 120


def test_what_cannot_fit_is_not_erased(pixels: Pixels) -> None:
    image = augmented(pixels, with_(erase=1.0, erase_area=(1.0, 1.0)), 0)
    assert torch.equal(image, normalise(pixels))


@given(
    settings=st.builds(
        AugmentSettings,
        crop=st.sampled_from(["none", "pad", "enlarge"]),
        padding=st.integers(0, 40),  # also a border wider than the picture
        flip=st.sampled_from([0.0, 0.5, 1.0]),
        erase=st.sampled_from([0.0, 0.5, 1.0]),
        erase_area=st.sampled_from([(0.02, 0.4), (0.02, 0.33), (0.5, 0.9)]),
        erase_fill=st.sampled_from(["mean", "zero"]),
        where=st.sampled_from(["worker", "device"]),
    ),
    normalisation=st.sampled_from(["imagenet", "half"]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 30)),
    seed=st.integers(0, 1000),
)
def test_it_is_what_plain_steps_make_of_a_picture(
    settings: AugmentSettings, normalisation: str, size: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (23, 17, 3), dtype=np.uint8)
    expected = slow_augment(pixels, settings, np.random.default_rng(seed), size, normalisation)
    data = DataSettings(normalisation=normalisation)
    found = augment(pixels, settings, np.random.default_rng(seed), size, data)
    assert torch.equal(found, expected)


@given(
    crop=st.sampled_from(["none", "pad", "enlarge"]),
    size=st.tuples(st.integers(32, 400), st.integers(32, 200)),
    seed=st.integers(0, 1000),
)
def test_what_is_drawn_lies_in_the_picture(crop: str, size: tuple[int, int], seed: int) -> None:
    settings = AugmentSettings(crop=crop, erase=1.0, auto=1.0)
    drawn = draw(settings, size, np.random.default_rng(seed))
    assert drawn.size in source_sizes(settings, size)
    border = settings.padding if crop == "pad" else 0
    for corner, length, available in zip(drawn.corner, size, drawn.size, strict=True):
        assert -border <= corner <= available + border - length
    top, bottom, left, right = drawn.erased
    assert 0 <= top < bottom <= size[0]
    assert 0 <= left < right <= size[1]


def test_auto_augment_and_jitter_change_no_other_draw() -> None:
    for seed in range(20):
        without = draw(AugmentSettings(), SIZE, np.random.default_rng(seed))
        with_them = draw(AugmentSettings(auto=1.0, jitter=1.0), SIZE, np.random.default_rng(seed))
        assert without.policy is None
        assert with_them.policy is not None
        assert without.tones == UNCHANGED
        assert with_them.tones != UNCHANGED
        assert (without.size, without.corner, without.mirrored, without.erased) == (
            (with_them.size, with_them.corner, with_them.mirrored, with_them.erased)
        )


def test_jitter_is_that_of_torchvision(pixels: Pixels) -> None:
    settings = with_(jitter=1.0, jitter_strength=(0.4, 0.5, 0.6))
    for seed in range(8):
        brightness, contrast, saturation = draw(settings, SIZE, np.random.default_rng(seed)).tones
        image = functional.adjust_brightness(functional.to_tensor(pixels.copy()), brightness)
        image = functional.adjust_contrast(image, contrast)
        image = functional.adjust_saturation(image, saturation)
        expected = functional.normalize(image, MEAN, STD)
        found = augmented(pixels, settings, seed)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_jitter_leaves_a_picture_that_chance_spares(pixels: Pixels) -> None:
    settings = with_(jitter=0.5)
    draws = [draw(settings, SIZE, np.random.default_rng(seed)) for seed in range(400)]
    spared = np.array([drawn.tones == UNCHANGED for drawn in draws])
    assert 160 < spared.sum() < 240
    some = draws[:8]
    found = Finish.of(some, DATA, settings)(torch.from_numpy(np.stack([pixels] * len(some))))
    for image, unchanged in zip(found, spared, strict=False):
        assert torch.equal(image, normalise(pixels)) == unchanged
