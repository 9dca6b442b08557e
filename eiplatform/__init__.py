"""eiplatform: excitation and inhibition in trained spiking networks, measured against cortex.

Importing the package is cheap; :func:`open` and the accessors load xarray when first used,
:func:`adapt` and :func:`probe` torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eiplatform.errors import EIPlatformError
from eiplatform.version import __version__

if TYPE_CHECKING:
    from eiplatform.foreign import adapt, probe
    from eiplatform.store.export.frames import to_frame
    from eiplatform.store.info import info
    from eiplatform.store.reader import open_recording as open  # noqa: A004

__all__ = ["EIPlatformError", "__version__", "adapt", "info", "open", "probe", "to_frame"]


def __getattr__(name: str) -> Any:
    if name == "open":
        import eiplatform.statistics  # noqa: F401  (registers the .ei accessor)
        from eiplatform.store.reader import open_recording

        return open_recording
    if name in ("adapt", "probe"):
        import eiplatform.foreign

        return getattr(eiplatform.foreign, name)
    if name == "info":
        from eiplatform.store.info import info

        return info
    if name == "to_frame":
        from eiplatform.store.export.frames import to_frame

        return to_frame
    raise AttributeError(f"module 'eiplatform' has no attribute '{name}'")
