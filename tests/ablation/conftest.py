"""A recipe without attention that trains in a second."""

import pytest

from reid_attn.settings import Settings, resolve


@pytest.fixture
def recipe(tiny: Settings) -> Settings:
    plain = tiny.model_dump(mode="json")
    plain["model"]["attention"] = []
    plain["training"] |= {"epochs": 1, "evaluate_every": 0}
    return resolve(plain, "tests")
