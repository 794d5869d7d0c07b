"""The optimizer, and what each parameter gets of the learning rate."""

import torch
from torch import nn

from ..errors import UsageError
from ..models import Network
from ..models.resnet import ResNet50
from ..settings import OptimizerSettings

FACTOR = "factor"
"""Key of a parameter group: its learning rate over that of the schedule."""

_STAGES = 4  # of the backbone, after its stem


def build_optimizer(network: Network, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer of all parameters that learn, in groups of one learning rate.

    On a GPU all parameters are updated by one kernel (`fused`). On a CPU that would be faster too,
    but rounds otherwise, and a run would not repeat older ones bit for bit.

    Raises:
        UsageError: `layer_decay` for a backbone whose stages are not known.
    """
    backbone = network.backbone
    if settings.layer_decay < 1 and not isinstance(backbone, ResNet50):
        raise UsageError("optimizer.layer_decay needs the stages of a resnet50: set it to 1")
    own = backbone.own_keys()
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            bias = settings.bias_factor if name.endswith(".bias") else 1.0
            factor = bias * settings.layer_decay ** _stages_after(name, own)
            groups.setdefault(factor, []).append(parameter)
    fused = True if next(network.parameters()).is_cuda else None
    parameters = [{"params": group, FACTOR: factor} for factor, group in groups.items()]
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, rate, settings.momentum, weight_decay=decay, fused=fused)
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=fused)
    amsgrad = settings.name == "amsgrad"
    return torch.optim.Adam(parameters, rate, weight_decay=decay, amsgrad=amsgrad, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the schedule's `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[FACTOR]


def _stages_after(name: str, own: set[str]) -> int:
    """How many stages follow the parameter's own, the head being the last; blocks count as head."""
    backbone, _, inner = name.partition(".")
    if backbone != "backbone" or inner not in own:
        return 0
    layer = inner.partition(".")[0].removeprefix("layer")
    return _STAGES + 1 - (int(layer) if layer.isdigit() else 0)
