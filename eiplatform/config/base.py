"""What all parts of a configuration share: strict types, frozen values, no unknown key."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Positive"]

Positive = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """A strict, unchangeable part of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
