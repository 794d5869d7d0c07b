"""The networks whose training is timed: no attention, RGA-SC, and RGA-SC as it was published."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch

from benchmarks.published.rga import Published
from benchmarks.traffic import traffic
from reid_attn.attention.rga import RGA
from reid_attn.models import Network, build_network
from reid_attn.models.cost import IDENTITIES, measure
from reid_attn.models.resnet import DEPTHS, ResNet50
from reid_attn.settings import Settings, resolve

Form = Literal["bare", "ours", "published"]
FORMS: tuple[Form, ...] = ("bare", "ours", "published")


def settings_of(form: Form, overrides: Sequence[str] = (), **groups: dict[str, Any]) -> Settings:
    """The default recipe with or without RGA, options by group, and `key=value` on top."""
    blocks = [] if form == "bare" else [{"name": "rga"}]
    values: dict[str, dict[str, Any]] = {"model": {"attention": blocks}, **groups}
    for override in overrides:
        key, _, value = override.partition("=")
        group, _, name = key.partition(".")
        values.setdefault(group, {})[name] = int(value) if value.isdigit() else value
    return resolve(values, "the command line")


def write_out(network: Network) -> None:
    """Put the published form, with new weights, in the place of each RGA."""
    backbone = cast(ResNet50, network.backbone)
    for stage, slot in enumerate(backbone.stage_attention, start=1):
        for name, block in slot.named_children():
            if isinstance(block, RGA):
                channels = backbone.channels >> (len(DEPTHS) - stage)
                setattr(slot, name, Published(channels, block.size))


def network_of(form: Form, settings: Settings) -> Network:
    """With random weights."""
    network = build_network(settings, IDENTITIES)
    if form == "published":
        write_out(network)
    return network


def gflop(form: Form, settings: Settings) -> float:
    """Of a forward pass of one picture."""
    with torch.device("meta"):
        network = network_of(form, settings)
    return measure(network, (3, settings.data.height, settings.data.width)).gflop


def moved_mib(form: Form, settings: Settings, *, bf16: bool, batch: int = 16) -> float:
    """Memory traffic of a picture, forward and backward (`traffic.py`)."""
    shape = (batch, 3, settings.data.height, settings.data.width)
    return traffic(lambda: network_of(form, settings), shape, bf16) / batch / 2**20
