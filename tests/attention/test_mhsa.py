"""Multi-head self-attention against its formula, position by position."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError

SETS: list[dict[str, Any]] = [{}, {"heads": 3}, {"relative": False}, {"position": False}]


def build(size: tuple[int, int], **options: Any) -> attention.Block:
    torch.manual_seed(0)
    block = attention.build("mhsa", 12, size, **options).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return block


def picture(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 12, *size, generator=torch.Generator().manual_seed(1)).double()


def position_by_position(block: Any, x: Tensor, position: bool, relative: bool) -> Tensor:
    """The formula with a loop over every pair, (N, C, H, W)."""
    height, width = x.shape[2:]
    places = [(row, column) for row in range(height) for column in range(width)]
    heads = F.conv2d(x, block.embed.weight).chunk(3, dim=1)
    query, key, value = (t.unflatten(1, (block.heads, -1)) for t in heads)  # (N, h, d, H, W)
    out = torch.empty_like(value)
    for row, column in places:
        q = query[..., row, column]
        logits = []
        for y, x_ in places:
            r = torch.zeros(q.shape[2], dtype=q.dtype)
            if position and relative:
                r = block.r_height[y - row + height - 1] + block.r_width[x_ - column + width - 1]
            elif position:
                r = block.r_height[y] + block.r_width[x_]
            logits.append((q * (key[..., y, x_] + r)).sum(dim=2) / q.shape[2] ** 0.5)
        shares = torch.stack(logits, dim=2).softmax(dim=2)[:, :, None]  # (N, h, 1, H·W)
        out[..., row, column] = (shares * value.flatten(3)).sum(dim=3)
    return out.flatten(1, 2)


@pytest.mark.parametrize("options", SETS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (5, 2), (4, 4), (7, 5)], ids=str)
def test_equals_the_formula(size: tuple[int, int], options: dict[str, Any]) -> None:
    block, x = build(size, **options), picture(size).requires_grad_()
    terms = {"position": True, "relative": True} | options
    terms.pop("heads", None)
    expected, found = position_by_position(block, x, **terms), block(x)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    cotangent = torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape).sin()
    wanted = [x, *block.parameters()]
    pairs = (
        torch.autograd.grad((y * cotangent).sum(), wanted, allow_unused=True)
        for y in (found, expected)
    )
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_affinities_are_those_of_the_output() -> None:
    """One head, so that their mean over the heads says all."""
    block, x = build((4, 3), heads=1), picture((4, 3))
    value = F.conv2d(x, block.embed.weight[24:])
    found = block.affinity(x, 2, 1)
    torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2, dtype=x.dtype))
    taken = (found[:, None] * value).sum(dim=(2, 3))
    torch.testing.assert_close(taken, block(x)[:, :, 2, 1], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("relative", [True, False])
def test_position_terms_are_resampled_for_another_size(relative: bool) -> None:
    """Tables that are linear in the distance, or in the place, stay so away from their ends."""
    block = build((6, 4), relative=relative)
    with torch.no_grad():
        for table in (block.r_height, block.r_width):
            table.copy_(torch.arange(len(table)).double()[:, None].expand_as(table))
        finer = block._vectors(block.r_height, 12)[5, :, 0]
    steps = finer[1:-1].diff()[2:-2]
    ratio = len(block.r_height) / (23 if relative else 12)
    torch.testing.assert_close(steps, torch.full_like(steps, ratio))
    if relative:
        torch.testing.assert_close(finer[5].item(), 5.0)  # no distance stays no distance
    assert block(picture((12, 7))).shape == (2, 12, 12, 7)


def test_a_stride_averages_what_came_out() -> None:
    plain, strided = build((6, 4)), build((3, 2), stride=2)
    strided.load_state_dict(plain.state_dict())  # built for the map that comes in, twice its size
    x = picture((6, 4))
    expected = F.avg_pool2d(plain(x), 2)
    torch.testing.assert_close(strided(x), expected, rtol=1e-9, atol=1e-10)
    odd = picture((5, 3))
    last = plain(odd)[:, :, 4, 2]  # a window that is not full counts what is there
    torch.testing.assert_close(strided(odd)[:, :, 2, 1], last, rtol=1e-9, atol=1e-10)


def test_residual_and_norm_come_last() -> None:
    plain, x = build((5, 3)), picture((5, 3))
    other = build((5, 3), residual=True, norm=True).train()
    other.load_state_dict(plain.state_dict() | other.norm.state_dict(prefix="norm."))
    normed = F.batch_norm(plain(x), None, None, other.norm.weight, other.norm.bias, training=True)
    torch.testing.assert_close(other(x), x + normed, rtol=1e-9, atol=1e-10)


def test_starts_as_published() -> None:
    block = attention.build("mhsa", 256, (16, 8))
    assert 0.0099 < block.embed.weight.std() < 0.0101
    assert 0.12 < block.r_height.std() < 0.13  # 1/√64


def test_takes_the_published_names() -> None:
    block = build((5, 3))
    state = block.state_dict()
    names = ("q_proj.weight", "k_proj.weight", "v_proj.weight")
    official = dict(zip(names, state.pop("embed.weight").chunk(3), strict=True)) | state
    other = build((5, 3), heads=4)
    torch.nn.init.zeros_(other.embed.weight)
    other.load_state_dict(other.convert_official(official))
    torch.testing.assert_close(other(picture((5, 3))), block(picture((5, 3))), rtol=0, atol=0)
    with pytest.raises(MismatchError, match="r_height"):
        build((6, 3)).convert_official(official)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heads": 5}, "divides the channels"),
        ({"heads": 0}, "divides the channels"),
        ({"stride": 3}, "one of 1, 2, not 3"),
        ({"stride": 2, "residual": True}, "cannot add its input"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        attention.build("mhsa", 12, (4, 4), **options)


def test_a_lone_value_is_refused_before_anything_changes() -> None:
    block = attention.build("mhsa", 12, (1, 1), norm=True, stride=2)
    with pytest.raises(MismatchError, match="mhsa has one value a channel"):
        block(torch.randn(1, 12, 2, 2))
    assert block.norm.num_batches_tracked == 0
