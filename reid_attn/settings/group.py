"""What every group of options has in common."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Precision = Literal["fp32", "bf16", "fp16"]
Slot = Literal["stage", "residual", "conv2", "bn2", "replace", "block", "head", "classifier"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]


def fits(pattern: str, told: str) -> AfterValidator:
    """The whole text fits `pattern`; what is `told` says so in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("form", told)
        return text

    return AfterValidator(check)


class Group(BaseModel):
    """Options that belong together: frozen, strictly typed, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
