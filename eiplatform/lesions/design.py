"""Lesion designs: which lesions are made, and recording the network under each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError
from eiplatform.files import claim_directory
from eiplatform.lesions.apply import lesioned
from eiplatform.lesions.controls import deprived, matched_losses
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
    n_controls: int = 0,
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
    n_controls : int
        Random losses of synapses of the same size (:mod:`eiplatform.lesions.controls`) recorded
        beside each dose above 0, as ``dose-<dose>-control-<seed>``, seeds from 1.
    config, overwrite, progress
        As in :func:`~eiplatform.recording.network.record_network`.

    Returns
    -------
    list of Path
        The recordings, by rising dose, each followed by its controls.

    Raises
    ------
    ConfigError
        If the doses repeat or lack 0, pathway or layers differ, or such a lesion has no controls.
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
    if n_controls < 0:
        raise ConfigError(f"{n_controls} controls", where="lesions", valid="0 or more")
    losses = matched_losses(network, data, spec, ordered, range(1, n_controls + 1)) if n_controls else {}
    directory = claim_directory(Path(path), overwrite=overwrite)
    conditions: list[tuple[str, str, AbstractContextManager[Network], dict[str, Any]]] = []
    for lesion in ordered:
        name, label = f"dose-{lesion.dose!r}", f"dose {lesion.dose:g}"
        described = lesion.model_dump(mode="json")
        conditions.append((name, label, lesioned(network, [lesion]), described))
        for loss in losses.get(lesion, ()):
            control = {"seed": loss.seed, "fractions": dict(loss.fractions)}
            seed = f"control {loss.seed}"
            conditions.append(
                (
                    f"{name}-control-{loss.seed}",
                    f"{label}, {seed}",
                    deprived(network, loss),
                    described | {"control": control},
                )
            )
    made = []
    for index, (name, label, applied, described) in enumerate(conditions):
        with applied:
            made.append(
                record_network(network, data, directory / name, spec, config=config, label=label, lesions=[described])
            )
        if progress:
            progress(index + 1, len(conditions), label)
    return made
