"""Every block against the numbers of its published module, in float64.

`derived` in the name of a case (see its `meta`) marks parts of published modules put together where
the published file cannot run.
"""

from typing import Any

import numpy as np
import pytest
import torch
from reference import CASES, FIXTURES, Reference

from reid_attn import attention
from reid_attn.errors import MismatchError


def label(case: dict[str, Any]) -> str:
    meta = str(np.load(FIXTURES / case["file"])["meta"])
    return f"{case['file'].removesuffix('.npz')}{'-derived' if 'derived' in meta else ''}"


@pytest.fixture(params=CASES, ids=label)
def reference(request: pytest.FixtureRequest) -> Reference:
    case = request.param
    block = attention.build(case["block"], case["channels"], case["size"], **case["options"])
    return Reference(case, block, block.convert_official)


def test_equals_the_published_numbers(reference: Reference) -> None:
    gate_alone = "spm_mask" in str(reference.numbers["meta"])  # its module returns the gate
    reference.check(reference.block.gate if gate_alone else None)


@pytest.mark.parametrize("change", ["missing", "unknown", "misshaped"])
def test_foreign_weights_are_refused(reference: Reference, change: str) -> None:
    official = reference.official()
    first = next(iter(official), None)
    if change == "unknown":
        official["surplus"] = torch.zeros(1)
    elif first is None:
        return  # a block without parameters lacks none
    elif change == "missing":
        del official[first]
    else:
        official[first] = torch.zeros(2, *official[first].shape)
    with pytest.raises(MismatchError):
        reference.convert(official)


def test_every_case_of_the_published_modules_is_here() -> None:
    assert len(CASES) == 51
    assert {case["file"] for case in CASES} == {path.name for path in FIXTURES.glob("*.npz")}
