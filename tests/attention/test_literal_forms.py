"""The literal forms that `scripts/bench attention` times ours against: held to the same numbers."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from reference import CASES, RTOL, Reference
from torch import Tensor

import benchmarks.published
from reid_attn import attention

LITERAL = sorted(module.name for module in pkgutil.iter_modules(benchmarks.published.__path__))


def literal(case: Mapping[str, Any]) -> torch.nn.Module:
    module = importlib.import_module(f"benchmarks.published.{case['block']}")
    form: torch.nn.Module = module.Published(case["channels"], case["size"], **case["options"])
    return form


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["block"] in LITERAL], ids=lambda c: c["file"]
)
def test_equals_the_published_numbers(case: Mapping[str, Any]) -> None:
    form = literal(case)

    def under_own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: state[key].reshape(own.shape) for key, own in form.state_dict().items()}

    gate_alone = case["case"] == "spm_mask"
    Reference(case, form, under_own_names).check(form.gate if gate_alone else None)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["block"] in LITERAL], ids=lambda c: c["file"]
)
@pytest.mark.parametrize(("channels", "size"), [(64, (9, 7)), (64, (16, 8)), (96, (5, 12))])
def test_ours_equals_them_at_other_sizes(
    case: Mapping[str, Any], channels: int, size: tuple[int, int]
) -> None:
    case = {**case, "channels": channels, "size": size}
    torch.manual_seed(0)
    form = literal(case).double()
    for parameter in form.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = attention.build(case["block"], channels, size, **case["options"]).double()
    ours.load_state_dict(ours.convert_official(form.state_dict()))
    x = torch.randn(3, channels, *size, dtype=torch.float64)
    results = []
    for block in (form, ours):
        own = x.clone().requires_grad_()
        y = block(own)
        (y * torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape).sin()).sum().backward()
        results.append((y, own.grad))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=RTOL, atol=RTOL * expected.abs().max().item()
        )
