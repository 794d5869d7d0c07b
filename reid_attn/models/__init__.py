"""Networks: backbone, pooling, neck, classifier, and the weights that go into them."""

from .fit import load_weights
from .head import Output
from .network import Network, build_network, fingerprint
from .weights import Trained, load_trained

__all__ = [
    "Network",
    "Output",
    "Trained",
    "build_network",
    "fingerprint",
    "load_trained",
    "load_weights",
]
