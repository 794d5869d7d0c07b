"""Large-kernel attention: its start, its reach, VAN's whole block."""

import math
from typing import Any

import pytest
import torch
from reference import close
from torch import Tensor, nn
from torch.nn import functional

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError


def test_starts_as_published() -> None:
    torch.manual_seed(0)
    block = attention.build("large_kernel", 256, (8, 4), mode="block")
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels / module.groups
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
            assert not module.bias.any()
    assert (block.scale == 0.01).all()
    assert (block.mlp_scale == 0.01).all()


@pytest.mark.parametrize("kernel", [7, 11, 23, 35, 41, 53])
@pytest.mark.parametrize("separable", [False, True])
def test_the_kernels_reach_as_far_as_their_name_says(kernel: int, separable: bool) -> None:
    size = (kernel + 4, kernel + 6)
    block = attention.build("large_kernel", 2, size, separable=separable, kernel=kernel)
    for module in block.kernels:
        nn.init.ones_(module.weight)
    x = torch.zeros(1, 2, *size, requires_grad=True)
    block.kernels(x)[0, 0, size[0] // 2, size[1] // 2].backward()
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    assert rows.unique().numel() == columns.unique().numel() == kernel
    assert rows.float().mean() == size[0] // 2
    assert columns.float().mean() == size[1] // 2


def van_block(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    """VAN's block from its published keys, in training mode."""

    def conv(x: Tensor, name: str, **options: Any) -> Tensor:
        return functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def norm(x: Tensor, name: str) -> Tensor:
        bias = w[f"{name}.bias"]
        return functional.batch_norm(x, None, None, w[f"{name}.weight"], bias, training=True)

    gating, channels = "attn.spatial_gating_unit", x.shape[1]
    y = norm(x, "norm1")
    inner = functional.gelu(conv(y, "attn.proj_1"))
    factor = conv(inner, f"{gating}.conv0", padding=2, groups=channels)
    factor = conv(factor, f"{gating}.conv_spatial", padding=9, dilation=3, groups=channels)
    y = y + conv(inner * conv(factor, f"{gating}.conv1"), "attn.proj_2")
    x = x + w["layer_scale_1"][:, None, None] * y
    y = conv(norm(x, "norm2"), "mlp.fc1")
    y = functional.gelu(conv(y, "mlp.dwconv.dwconv", padding=1, groups=y.shape[1]))
    return x + w["layer_scale_2"][:, None, None] * conv(y, "mlp.fc2")


def test_mode_block_is_the_block_of_van() -> None:
    torch.manual_seed(0)
    block = attention.build("large_kernel", 8, (9, 7), mode="block", mlp_ratio=3).double()
    published = {
        official: torch.randn(tensor.shape[:1] if "layer" in official else tensor.shape).double()
        for key, tensor in block.state_dict().items()
        for (official,) in [block.sources()[key]]
    }
    block.load_state_dict(block.convert_official(published))
    x = torch.randn(3, 8, 9, 7, dtype=torch.float64)
    close(block(x), van_block(x, published))


def test_a_branch_is_left_out_of_whole_pictures_and_in_training_only() -> None:
    torch.manual_seed(0)
    block = attention.build("large_kernel", 4, (5, 3), mode="block", drop_path=0.75)
    branch, scale = torch.ones(4000, 4, 1, 1), torch.tensor(2.0)
    dropped = block._branch(scale, branch)
    assert dropped.unique().tolist() == [0.0, 8.0]
    assert (dropped == dropped[:, :1]).all()
    assert dropped.mean().item() == pytest.approx(2.0, rel=0.1)
    assert (block.eval()._branch(scale, branch) == 2).all()


def test_a_lone_value_is_refused_before_anything_changes() -> None:
    block = attention.build("large_kernel", 8, (1, 1), mode="block")
    with pytest.raises(MismatchError, match="large_kernel"):
        block(torch.randn(1, 8, 1, 1))
    assert block.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    "options", [{"mode": "van"}, {"kernel": 21}, {"mlp_ratio": 0}, {"drop_path": 1.0}]
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="large_kernel"):
        attention.build("large_kernel", 8, (4, 4), **options)
