"""Which device and which precision a run gets."""

from pathlib import Path
from typing import Literal

import torch

from ..errors import UsageError
from ..settings import Precision


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The named device; `auto` is CUDA where it works, else the CPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("training.device=cuda, but no NVIDIA GPU is usable here: use device=cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(
    name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device
) -> Precision:
    """The named precision; `auto` is bf16 where the hardware multiplies it, else fp32.

    A CPU without bf16 instructions still accepts bf16, some twenty times slower than fp32.
    """
    if name != "auto":
        return name
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_multiplies_bf16()
    return "bf16" if fast else "fp32"


def _cpu_multiplies_bf16() -> bool:
    information = Path("/proc/cpuinfo")
    flags = information.read_text() if information.exists() else ""
    return "amx_bf16" in flags or "avx512_bf16" in flags
