"""What every room's tests share."""

import signal
from pathlib import Path

import pytest
from rich.console import Console

from reid_attn.data import load
from reid_attn.data.synthetic import write_sample
from reid_attn.settings import Settings, resolve
from reid_attn.training import train


def pytest_configure() -> None:
    """Heed Ctrl-C, which what a shell starts with `&` ignores, and so would every training here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Large counts may take an hour each."""
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the checkout")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sample set in Market-1501 layout: 12 people, 3 cameras."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, persons=12, cameras=3, seed=0, pictures=2)
    return folder


@pytest.fixture(scope="session")
def tiny(sample: Path) -> Settings:
    """A whole network at a size that trains in a second: 3 epochs of a few steps."""
    return resolve(
        {
            "name": "tiny",
            "data": {"source": f"market1501:{sample}", "height": 32, "width": 32},
            "batch": {"persons": 3, "images": 2},
            "augment": {"padding": 2},
            "model": {"width": 8, "attention": [{"name": "rga", "stages": [2, 4]}]},
            "schedule": {"name": "cosine", "warmup_epochs": 1},
            "training": {"epochs": 2, "device": "cpu", "evaluate_every": 1},
            "evaluation": {"batch": 16},
        },
        "tests",
    )


@pytest.fixture(scope="session")
def trained(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: the `tiny` network after its training."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny, load(tiny.data.source), run, Console(quiet=True))
    return run
