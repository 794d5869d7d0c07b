"""Networks of torchreid up to their last map, and the layer after their pooling."""

import warnings
from typing import Any

from torch import Tensor, nn

from ..errors import MissingExtra, UsageError, nearest


def make(name: str, size: tuple[int, int], **options: Any) -> nn.Module:
    """The network without its classifier and with random weights; it fits every `size`."""
    del size
    models = _models()
    known = vars(models)["__model_factory"]
    if name not in known:
        raise UsageError(f"torchreid has no network '{name}'{nearest(name, known)}")
    network: nn.Module = models.build_model(
        name, num_classes=1, pretrained=False, use_gpu=False, **options
    )
    if not hasattr(network, "featuremaps") or not hasattr(network, "feature_dim"):
        raise ValueError("torchreid does not tell where its last map is")  # mlfn, hacnn, mudeep
    network.classifier = nn.Identity()
    return network


def last_map(body: Any, x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, C, h, w)."""
    found: Tensor = body.featuremaps(x)
    return found


def embedding(body: Any) -> tuple[nn.Module, int]:
    """The layer between pooling and classifier, taken off the network, and its width; 0: none."""
    layer = getattr(body, "fc", None)
    if layer is None:
        return nn.Identity(), 0
    body.fc = None
    return layer, int(body.feature_dim)


def _models() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own evaluation in Cython, which is not used here
        try:
            from torchreid.reid import models
        except ImportError as error:
            raise MissingExtra("torchreid", "torchreid") from error
    return models
