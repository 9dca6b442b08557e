"""eiplatform: excitation and inhibition in trained spiking networks, measured against cortex.

Everything that a user needs is a name of this module, usually called ``ei``; what is not listed by ``dir(ei)`` is
private and may change.  Importing it is cheap: each name loads what it needs when it is first used.

>>> import eiplatform as ei
>>> "train" in dir(ei)
True
"""

from __future__ import annotations

from importlib import import_module as _import_module

from eiplatform.version import __version__

_HOMES = {
    "Add": "interventions",
    "Bias": "interventions",
    "Clamp": "interventions",
    "Delay": "interventions",
    "EIPlatformError": "errors",
    "Freeze": "interventions",
    "Mean": "interventions",
    "MeanShift": "interventions",
    "Noise": "interventions",
    "RandomSynapseLoss": "interventions",
    "Recording": "store.tree",
    "Resample": "interventions",
    "Result": "front.results",
    "Run": "front.training",
    "Scale": "interventions",
    "ShuffleNeurons": "interventions",
    "Silence": "interventions",
    "adapt": "foreign",
    "analyse": "front.results",
    "compare": "front.results",
    "describe": "front.catalogue",
    "figures": "figures",
    "from_arrays": "store.importing",
    "info": "front.look",
    "intervene": "interventions",
    "lesion_study": "front.lesioning",
    "list": "front.catalogue",
    "load": "front.training",
    "open": "front.look",
    "plot": "plot",
    "probe": "foreign",
    "read_csv": "store.importing",
    "read_nir": "foreign.nir",
    "read_nwb": "store.importing",
    "record": "front.recording",
    "report": "front.results",
    "simulate": "front.simulating",
    "study": "front.studies",
    "to_frame": "store.export.frames",
    "to_neo": "store.export.neo",
    "to_nir": "foreign.nir",
    "to_nwb": "store.export.nwb",
    "to_pynapple": "store.export.pynapple",
    "train": "front.training",
}
"""Where each name of the front door is defined; ``__init__.pyi`` says the same to type checkers."""

_GIVE_RECORDINGS = ("from_arrays", "open", "read_csv", "read_nwb", "record", "simulate")

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        if name.startswith("_"):
            raise AttributeError(f"module 'eiplatform' has no attribute '{name}'")
        from eiplatform.errors import UnknownAttributeError, suggest

        raise UnknownAttributeError(
            f"eiplatform has nothing called '{name}'{suggest(name, _HOMES)}", where="eiplatform", valid=_HOMES
        )
    if name in _GIVE_RECORDINGS:
        _import_module("eiplatform.front.views")  # registers the .ei accessor, with figures
    module = _import_module(f"eiplatform.{home}")
    found = module if home == name else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
