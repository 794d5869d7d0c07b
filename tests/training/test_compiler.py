"""The compiled network, and a machine without a compiler."""

import io

import pytest
import torch
from rich.console import Console
from torch._inductor import config as inductor

from reid_attn.data.batches import Batch
from reid_attn.models import build_network
from reid_attn.settings import Settings, resolve
from reid_attn.training.compiler import compiled
from reid_attn.training.learner import Learner
from reid_attn.training.processes import ALONE


def settings(compile: bool) -> Settings:
    return resolve(
        {
            "data": {"height": 32, "width": 32},
            "model": {"width": 8, "attention": [{"name": "rga", "stages": [4]}]},
            "training": {"device": "cpu", "compile": compile},
        },
        "test",
    )


@pytest.mark.filterwarnings("default")
def test_without_a_compiler_the_network_stays_as_it_is_and_a_sentence_says_so() -> None:
    network, console = build_network(settings(True), 4), Console(file=io.StringIO(), width=300)
    missing = {"cpp.cxx": (None, "/nonexistent/c++"), "force_disable_caches": True}
    with inductor.patch(missing):
        assert compiled(network, console) is network
    assert "not compiled: torch finds no working compiler here" in console.file.getvalue()


@pytest.mark.full
@pytest.mark.filterwarnings("default")
def test_compiled_steps_are_those_of_the_network() -> None:
    """Minutes of compilation, of the whole network forward and backward."""
    losses = {}
    for compile in (False, True):
        torch.manual_seed(0)
        chosen = settings(compile)
        learner = Learner(build_network(chosen, 4), chosen, 4, ALONE, Console(quiet=True))
        pictures, losses[compile] = torch.Generator().manual_seed(1), []
        for step in range(3):
            images = torch.randn(8, 3, 32, 32, generator=pictures)
            learner.begin(step)
            some = Batch(images, torch.arange(4).repeat_interleave(2), [])
            losses[compile].append(learner.backward(some, 1.0)["total"])
            learner.update(1e-4, learner.reduce(), step)
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)
    assert losses[True] != losses[False], "the same bits: nothing was compiled"
