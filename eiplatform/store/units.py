"""Units that currents and potentials are given in."""

from __future__ import annotations

from collections.abc import Iterable

from eiplatform.errors import choose

__all__ = ["POTENTIAL_UNITS", "SI_UNITS", "known_unit"]

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}


def _with_prefixes(prefixes: str, symbol: str, name: str) -> dict[str, tuple[str, float]]:
    return {f"{prefix}{symbol}": (name, _PREFIXES[prefix]) for prefix in [*prefixes, ""]}


SI_UNITS: dict[str, tuple[str, float]] = {
    "1": ("1", 1.0),
    **_with_prefixes("fpnum", "A", "amperes"),
    **_with_prefixes("um", "V", "volts"),
    **_with_prefixes("pnum", "S", "siemens"),
    "pA/pF": ("amperes/farad", 1.0),
    "Hz": ("hertz", 1.0),
}
"""Units of currents (as injected, as a potential, as a conductance, per capacitance, as a rate, or arbitrary), each
with its SI unit and the factor that takes stored numbers to it."""

POTENTIAL_UNITS = ("1", "uV", "mV", "V")
_SPELLINGS = {"a.u.": "1", "arb. unit": "1", "": "1"}


def known_unit(unit: str, valid: Iterable[str], where: str) -> str:
    """Return a unit in the spelling of the store: ``a.u.`` is ``1``, the micro sign is ``u``.

    Raises
    ------
    UnknownNameError
        If it is none of the valid ones; the message suggests the nearest.

    Examples
    --------
    >>> known_unit("a.u.", SI_UNITS, "units"), known_unit("µA", SI_UNITS, "units")
    ('1', 'uA')
    """
    plain = str(unit).strip().replace("µ", "u").replace("μ", "u")
    return choose(_SPELLINGS.get(plain, plain), valid, "unit", where=where)
