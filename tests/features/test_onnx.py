"""Networks in ONNX files, written here byte by byte: the mean of each colour as a feature."""

import sys
from pathlib import Path

import numpy as np
import pytest

from reid_attn.data.images import MEAN, STD, decode, encode_jpeg
from reid_attn.errors import DataError, MismatchError, MissingExtra, UsageError
from reid_attn.features import Embedder
from reid_attn.gallery import Gallery

pytest.importorskip("onnxruntime")

SIZE = (64, 32)
OSNET = Path(__file__).parents[3] / "shared/data/osnet/osnet_x0_25_msmt17.onnx"


def field(number, content):
    """A field of a protocol buffer (https://protobuf.dev/programming-guides/encoding)."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    data = content.encode() if isinstance(content, str) else content
    length = len(data)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + size + data


def value(name, shape, kind=1):
    """A ValueInfoProto; a side that is a text is free."""
    sides = [field(1, field(1 if isinstance(side, int) else 2, side)) for side in shape]
    tensor = field(1, kind) + field(2, b"".join(sides))
    return field(1, name) + field(2, field(1, tensor))


def node(operator, source, target):
    return field(1, field(1, source) + field(2, target) + field(4, operator))


def model(batch="n", size=SIZE, flat=True, kind=1):
    """A ModelProto: GlobalAveragePool, and Flatten unless the output shall have four sides."""
    nodes = node("GlobalAveragePool", "images", "pooled" if flat else "features")
    nodes += node("Flatten", "pooled", "features") if flat else b""
    output = (batch, 3) if flat else (batch, 3, 1, 1)
    shape = field(11, value("images", (batch, 3, *size), kind))
    graph = nodes + field(2, "g") + shape + field(12, value("features", output, kind))
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "colour.onnx"
    path.write_bytes(model())
    return path


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(5)]
    for path in paths:
        colour = generator.integers(0, 256, (1, 1, 3))
        path.write_bytes(encode_jpeg(np.broadcast_to(colour, (*SIZE, 3)).astype(np.uint8)))
    return paths


@pytest.mark.parametrize("batch", ["n", 1])
def test_features_are_what_the_network_says(tmp_path, pictures, batch):
    path = tmp_path / "colour.onnx"
    path.write_bytes(model(batch))
    embedder = Embedder(path)
    means = np.stack([(decode(p) / 255 - MEAN).mean((0, 1)) / STD for p in pictures])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    finished = []
    found = embedder(pictures, finished.append)
    assert (embedder.dimension, found.dtype, sum(finished)) == (3, np.float32, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(embedder([pictures[0].read_bytes()]), found[:1])
    assert embedder([]).shape == (0, 3)


def test_the_fingerprint_is_of_the_file_and_the_preprocessing(tmp_path, network):
    first = Embedder(network).fingerprint
    assert first == Embedder(str(network)).fingerprint
    other = tmp_path / "other.onnx"
    other.write_bytes(model(size=(32, 32)))
    assert Embedder(other).fingerprint != first
    other.write_bytes(network.read_bytes())
    assert Embedder(other).fingerprint == first


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no network", "cannot be read"),
        (model()[:40], "cannot be read"),
        (model(size=("h", "w")), "with fixed H and W"),
        (model(size=(31, 32)), "of at least 32"),
        (model(batch=4), "with fixed H and W"),
        (model(kind=10), "takes images tensor.float16."),
        (model(flat=False), r"returns float32 \(1, 3, 1, 1\)"),
    ],
)
def test_files_that_are_no_such_network(tmp_path, content, sentence):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)x.onnx .*{sentence}"):
        Embedder(path)


def test_there_is_one_checkpoint(network, tmp_path):
    with pytest.raises(UsageError, match="no checkpoint 'best'"):
        Embedder(network, "best")
    with pytest.raises(DataError, match="could not read"):
        Embedder(tmp_path / "absent.onnx")


def test_without_the_extra(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="export"):
        Embedder(network)


def test_a_gallery_of_one_network_refuses_the_other(tmp_path, network, pictures):
    embedder = Embedder(network)
    made = {"fingerprint": embedder.fingerprint, "dimension": 3, "run": str(network)}
    Gallery.create(tmp_path / "people", **made)
    with Gallery.open(tmp_path / "people", embedder) as gallery:
        assert gallery.add(pictures, ["anna"] * 5, [1] * 5) == 5
        assert gallery.search(pictures[3], 1)[0].row == 4
    other = tmp_path / "other.onnx"
    other.write_bytes(model(size=(32, 32)))
    with pytest.raises(MismatchError, match=r"use the run it was made with \(.*colour.onnx\)"):
        Gallery.open(tmp_path / "people", Embedder(other))


@pytest.mark.skipif(not OSNET.exists(), reason="the OSNet network is not here")
def test_osnet(pictures):
    embedder = Embedder(OSNET)
    found = embedder(pictures)
    assert (embedder.dimension, found.shape) == (512, (5, 512))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder(pictures[:1]), found[:1], atol=1e-5)
