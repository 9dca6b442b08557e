"""What all parts of a configuration share: strict types, frozen values, no unknown key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Positive", "check_applies"]

Positive = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """A strict, unchangeable part of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def check_applies(part: BaseModel, applies: Mapping[str, bool], to: str) -> None:
    """Check that what does not apply was left at its default.

    Parameters
    ----------
    part : BaseModel
    applies : mapping of str to bool
        By field: whether it decides anything.
    to : str
        What the other fields do not apply to.

    Raises
    ------
    ValueError
    """
    for name, does in applies.items():
        default = type(part).model_fields[name].default
        if not does and getattr(part, name) != default:
            kept = f", {default}" if isinstance(default, str | int | float) else ""
            raise ValueError(f"{name} does not apply to {to}; leave it out, or at its default{kept}")
