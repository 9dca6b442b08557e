"""Lesion designs: which lesions are made, and recording the network under each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.files import claim_directory
from eiplatform.lesions.apply import lesioned
from eiplatform.lesions.spec import Lesion
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.snn.network import Network

__all__ = ["dose_response"]


def dose_response(
    network: Network,
    data: Split,
    path: str | Path,
    lesions: Sequence[Lesion],
    spec: RecordingSpec,
    *,
    config: Mapping[str, Any],
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Record the same samples under every dose of a lesion, the intact network included.

    Parameters
    ----------
    network : Network
    data : Split
    path : str or Path
        Directory; one recording ``dose-<dose>`` per lesion is made in it.
    lesions : sequence of Lesion
        One pathway and one set of layers at several doses, one of them 0 (the control on the
        same samples).
    spec : RecordingSpec
        Must include the readout, from which accuracy is read.
    config, overwrite, progress
        As in :func:`~eiplatform.recording.network.record_network`.

    Returns
    -------
    list of Path
        The recordings, by rising dose.

    Raises
    ------
    ConfigError
        If the doses repeat or lack 0, or pathway or layers differ.
    """
    if len({(lesion.pathway, lesion.layers) for lesion in lesions}) != 1:
        raise ConfigError("a dose-response lesions one pathway in one set of layers", where="lesions")
    ordered = sorted(lesions, key=lambda lesion: lesion.dose)
    doses = [lesion.dose for lesion in ordered]
    if len(set(doses)) < len(doses) or doses[0] != 0:
        raise ConfigError(
            f"doses {doses}", where="lesions", valid="different doses, one of them 0 (the intact control)"
        )
    with lesioned(network, ordered):  # every name is checked before anything is written
        pass
    directory = claim_directory(Path(path), overwrite=overwrite)
    made = []
    for index, lesion in enumerate(ordered):
        with lesioned(network, [lesion]):
            made.append(
                record_network(
                    network,
                    data,
                    directory / f"dose-{lesion.dose!r}",
                    spec,
                    config=config,
                    label=f"dose {lesion.dose:g}",
                    lesions=[lesion.model_dump(mode="json")],
                )
            )
        if progress:
            progress(index + 1, len(ordered), f"dose {lesion.dose:g}")
    return made
