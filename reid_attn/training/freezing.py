"""The backbone stands still at first, while what is new on and in it learns."""

from torch.nn.modules.batchnorm import _BatchNorm

from ..models import Network


class Freezer:
    """Holds the backbone's own layers: their weights, and, as fast-reid does, their batch norms.

    A norm that stands still uses the statistics it came with. Attention blocks and all that follows
    the backbone learn. (In fast-reid the Non-local blocks stand still as well.)
    """

    def __init__(self, network: Network) -> None:
        backbone = network.backbone
        own = backbone.own_keys()
        self._weights = [
            parameter
            for name, parameter in backbone.named_parameters()
            if name in own and parameter.requires_grad
        ]
        self._norms = [
            module
            for name, module in backbone.named_modules()
            if isinstance(module, _BatchNorm) and f"{name}.running_mean" in own
        ]

    def set(self, frozen: bool) -> None:
        """Let them stand still, or learn again, in a network that is in training mode."""
        for weight in self._weights:
            weight.requires_grad_(not frozen)
        for norm in self._norms:
            norm.train(not frozen)
