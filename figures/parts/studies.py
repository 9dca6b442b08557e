"""What the figures of studies over seeds share: which setting is drawn, and what the caption names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["setting_shown", "settings_told", "study_sources"]


def setting_shown(result: xr.Dataset, key: str) -> str | None:
    """Return the setting in which a study draws a statistic: images as trained, unless it needs a long recording."""
    value = result["value"].sel(statistic=key)
    held = value.notnull().any([dim for dim in value.dims if dim != "setting"])
    names = [str(name) for name in result["setting"].values[held.values]]
    return next((name for name in names if name.startswith("constant")), names[0] if names else None)


def settings_told(numbers: pd.DataFrame) -> tuple[str, dict[str, str]]:
    """Return the setting that all panels share (else nothing), and what the title of each panel says of its own.

    Parameters
    ----------
    numbers : DataFrame
        Columns ``statistic`` and ``setting``.

    Examples
    --------
    >>> settings_told(pd.DataFrame({"statistic": ["rate", "gain"], "setting": ["constant", "constant"]}))
    ('constant, ', {'rate': '', 'gain': ''})
    """
    first = numbers.drop_duplicates("statistic")
    own = {str(key): str(setting) for key, setting in zip(first["statistic"], first["setting"], strict=True)}
    one = len(set(own.values())) == 1
    shared = f"{next(iter(own.values()))}, " if one else ""
    return shared, {key: "" if one else f" ({setting})" for key, setting in own.items()}


def study_sources(result: xr.Dataset) -> tuple[str, str]:
    """Return, for the caption of a study's figure, the samples of every setting and the references."""
    settings = "; ".join(
        f"{name}: {n} samples"
        for name, n in zip(result["setting"].values, np.ravel(result.attrs["n_samples"]), strict=True)
    )
    references = (
        "Bands: range over excitatory populations of models of cortex, where the statistic can be compared "
        f"({', '.join(map(str, result['reference'].values))}). "
        if result.sizes["reference"]
        else ""
    )
    return settings, references
