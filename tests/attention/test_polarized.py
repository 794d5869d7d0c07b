"""PSA: its start, and what its rewrite does not keep."""

import torch
from torch import Tensor

from reid_attn import attention


def test_published_spatial_gate_starts_nearly_constant() -> None:
    torch.manual_seed(0)
    gate = attention.build("polarized", channels=64, size=(16, 8)).spatial(
        torch.randn(4, 64, 16, 8)
    )
    assert (gate - 0.5).abs().max() < 0.1
    assert gate.std() < 0.02


def test_paper_and_published_form_differ_under_equal_weights() -> None:
    torch.manual_seed(0)
    published = attention.build("polarized", channels=64, size=(16, 8)).spatial
    paper = attention.build("polarized", channels=64, size=(16, 8), variant="paper_p").spatial
    paper.load_state_dict(published.state_dict())
    x = torch.randn(2, 64, 16, 8)
    assert (published(x) - paper(x)).abs().max() > 0.05


def test_no_projected_map_is_kept() -> None:
    block = attention.build("polarized", channels=64, size=(16, 8))
    x = torch.randn(2, 64, 16, 8)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(x)
    large = [numel for numel in kept.values() if numel >= x.numel() // 2]
    assert len(large) <= 2  # the map and its gate
