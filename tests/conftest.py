"""What every room's tests share."""

from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the checkout")
    return folder
