"""Networks: backbone, pooling, neck, classifier, and the weights that go into them."""

from .network import Network, Output, build_network, fingerprint
from .weights import Trained, load_trained, load_weights

__all__ = [
    "Network",
    "Output",
    "Trained",
    "build_network",
    "fingerprint",
    "load_trained",
    "load_weights",
]
