from collections import Counter

import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugment as Torchvisions
from torchvision.transforms import InterpolationMode

from reid_attn.data.augment import draw
from reid_attn.data.auto_augment import BORDER, PAIRS, AutoAugment, Policy, draw_policy
from reid_attn.data.images import Pixels
from reid_attn.settings import AugmentSettings

ALWAYS, NEVER = (0.0, 0.0), (2.0, 2.0)


@pytest.fixture
def pixels() -> Pixels:
    """A gradient in each channel, (24, 16, 3)."""
    rows, columns = np.mgrid[:24, :16].astype(np.uint8)
    return np.stack([rows * 9, columns * 14, 255 - rows * 5], axis=2)


def test_it_is_torchvisions_policy(pixels: Pixels) -> None:
    ours = AutoAugment()
    theirs = Torchvisions(interpolation=InterpolationMode.BILINEAR, fill=BORDER)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    changed = 0
    for seed in range(60):
        torch.manual_seed(seed)
        pair, chances, signs = theirs.get_params(PAIRS)
        torch.manual_seed(seed)
        expected = theirs(image).permute(1, 2, 0).numpy()
        first, second = chances.tolist()
        one, other = signs.tolist()
        found = ours(pixels, Policy(pair, (first, second), (one, other)))
        np.testing.assert_array_equal(found, expected)
        changed += not np.array_equal(found, pixels)
    assert changed > 30


def test_there_are_as_many_pairs_as_are_drawn(pixels: Pixels) -> None:
    assert len(Torchvisions().policies) == PAIRS
    drawn = [draw_policy(np.random.default_rng(seed)) for seed in range(2000)]
    pairs = Counter(policy.pair for policy in drawn)
    assert sorted(pairs) == list(range(PAIRS))
    assert max(pairs.values()) < 130  # 80 each
    assert 900 < sum(policy.signs[0] for policy in drawn) < 1100
    assert 900 < sum(policy.chances[1] < 0.5 for policy in drawn) < 1100


def test_inverting_is_inverting_and_nothing_is_nothing(pixels: Pixels) -> None:
    augment, invert_then_equalise = AutoAugment(), 13
    policy = Policy(invert_then_equalise, (0.5, 2.0), (0, 0))
    np.testing.assert_array_equal(augment(pixels, policy), 255 - pixels)
    for pair in range(PAIRS):
        np.testing.assert_array_equal(augment(pixels, Policy(pair, NEVER, (0, 0))), pixels)
        assert augment(pixels, Policy(pair, ALWAYS, (1, 1))).shape == pixels.shape


def test_torchs_own_generator_is_left_alone(pixels: Pixels) -> None:
    augment = AutoAugment()
    before = torch.get_rng_state()
    policies = [draw_policy(np.random.default_rng(seed)) for seed in range(30)]
    first = [augment(pixels, policy) for policy in policies]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    again = [augment(pixels, policy) for policy in policies]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_it_happens_with_its_probability() -> None:
    settings = AugmentSettings(auto=0.1)
    drawn = [draw(settings, (64, 32), np.random.default_rng(seed)).policy for seed in range(2000)]
    assert 150 < sum(policy is not None for policy in drawn) < 250
