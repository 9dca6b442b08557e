"""Parameters of circuits: frozen dataclasses of numbers with units in their names, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from eiplatform.errors import ConfigError

__all__ = ["RARE", "Parameters"]

_UNITS = {"_ms": "milliseconds", "_mv": "millivolts", "_pa": "picoamperes", "_pf": "picofarads", "_ns": "nanosiemens"}
RARE = {"rare": True}
"""Metadata of a parameter that only interventions change."""
_FAR = 300
"""How far below its published value a number with a unit is more likely one in SI units than meant."""


@dataclass(frozen=True)
class Parameters:
    """Base of the parameters of a circuit: a frozen dataclass of ints and floats, units in the names."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            whole = entry.type in (int, "int")
            unit = next((told for end, told in _UNITS.items() if entry.name.endswith(end)), "")
            kind = "an integer" if whole else f"a number of {unit} (the unit is in the name)" if unit else "a number"
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise ConfigError(f"{value!r} is not a number", where=entry.name, valid=kind)
            if not np.isfinite(value) or (whole and value != int(value)):
                raise ConfigError(
                    f"{value!r} is not possible", where=entry.name, valid="an integer" if whole else "a finite number"
                )
            published = float(entry.default) if isinstance(entry.default, int | float) else 0.0
            if unit and 0 < abs(float(value)) < abs(published) / _FAR:
                raise ConfigError(
                    f"{value!r} is far below the published {published!r}: in another unit?",
                    where=entry.name,
                    valid=f"{kind}, at least {abs(published) / _FAR:.2g} in size",
                )
            object.__setattr__(self, entry.name, int(value) if whole else float(value))
        self.check()

    def check(self) -> None:
        """Raise :class:`~eiplatform.errors.ConfigError` if the values do not go together."""

    def require(self, condition: bool, name: str, valid: str) -> None:
        """Raise a :class:`~eiplatform.errors.ConfigError` about the field `name` unless `condition` holds."""
        if not condition:
            raise ConfigError(f"{getattr(self, name)} is not possible", where=name, valid=valid)

    def require_multiples(self, *names: str, dt_ms: float) -> None:
        """Raise a :class:`~eiplatform.errors.ConfigError` unless these are positive multiples of the time step."""
        for name in names:
            steps = getattr(self, name) / dt_ms
            whole = steps > 0.5 and abs(steps - round(steps)) < 1e-6
            self.require(whole, name, f"a positive multiple of dt_ms = {dt_ms}")
