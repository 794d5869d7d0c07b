"""One case of the published modules' numbers, loaded into a block."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FIXTURES = Path(__file__).parent / "fixtures"
CASES: list[dict[str, Any]] = json.loads((FIXTURES / "cases.json").read_text())
RTOL, ATOL = 1e-9, 1e-10

Convert = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=RTOL, atol=ATOL)


class Reference:
    """A block with the published weights of a case, and the published numbers.

    `convert` brings a state dict with the published keys under the block's own.
    """

    def __init__(self, case: Mapping[str, Any], block: nn.Module, convert: Convert) -> None:
        self.numbers = np.load(FIXTURES / case["file"])
        self.block = block.double()
        self.convert = convert
        self.block.load_state_dict(convert(self.official()))

    def official(self) -> dict[str, Tensor]:
        return {key: self.tensor(f"sd::{key}") for key in self.keys("sd::")}

    def keys(self, prefix: str) -> list[str]:
        return [k.removeprefix(prefix) for k in self.numbers.files if k.startswith(prefix)]

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(self.numbers[key])

    def run(
        self, mode: str, call: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output and input gradient of the weighted sum."""
        self.block.train(mode == "train")
        x = self.tensor("x").requires_grad_()
        y = (call or self.block)(x)
        (y * self.tensor("w")).sum().backward()
        assert x.grad is not None
        return y.detach(), x.grad

    def check(self, call: Callable[[Tensor], Tensor] | None = None) -> None:
        """Outputs, gradients of the input and of every parameter, running statistics."""
        for mode in ("eval", "train"):
            self.block.zero_grad()
            y, gradient = self.run(mode, call)
            close(y, self.tensor(f"y_{mode}"))
            close(gradient, self.tensor(f"gxw_{mode}"))
        official = self.official()
        zeros = {key: torch.zeros_like(tensor) for key, tensor in official.items()}
        gradients = {k: self.tensor(f"gpw_train::{k}") for k in self.keys("gpw_train::")}
        expected = self.convert(zeros | gradients)
        for name, parameter in self.block.named_parameters():
            assert parameter.grad is not None, name
            close(parameter.grad, expected[name])
        after = {k: self.tensor(f"sd_after::{k}") for k in self.keys("sd_after::")}
        expected = self.convert(official | after)
        for name, buffer in self.block.named_buffers():
            close(buffer, expected[name])
