"""Running the cells of a lesion study: stacked, verified, and kept one by one, so that nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn import functional

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError, StoreError
from eiplatform.files import content_hash, write_bytes
from eiplatform.interventions.checking import Check, check
from eiplatform.interventions.intervention import Kind
from eiplatform.lesions.cells import Cell, Images
from eiplatform.lesions.controls import mean_currents
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.intervening import Applied
from eiplatform.networks.network import Network
from eiplatform.networks.worlds import Seen, Worlds
from eiplatform.recording.plan import evaluation, make_plan, shown, weights_hash
from eiplatform.recording.spec import RecordingSpec
from eiplatform.study.code import code_version

__all__ = ["Engine", "WORLDS"]

WORLDS = 16
"""Worlds that run together, and are lost together when the process is killed."""
_CHECKED = 32
_SIGNALS = frozenset({"E/current_exc", "E/current_inh", "E/gain"})
_DIMS = {
    **{name: ("sample",) for name in ("correct", "loss", "confidence")},
    "correct_from": ("sample", "step"),
    "rate_step": ("layer_read", "step"),
}
"""Of what is kept of a cell; all else is per layer."""
_Progress = Callable[[int, int, str], None]


class Engine:
    """Runs cells of one network on one set of samples.

    Parameters
    ----------
    network : Network
    data : Split
        With labels.
    spec : RecordingSpec
        Which samples, how many steps, how they are shown.
    folder : Path, optional
        Where finished cells are kept, by what decides them: weights, data, spec, cell and code.
    stacked : bool
        Whether cells run together.  Those of a feedback network never do: its worlds share no layer, and 16 of them in
        one batch take 1.05 to 1.4 times the time of 16 runs (128 to 400 neurons, batches of 128 and 360).
    """

    def __init__(
        self, network: Network, data: Split, spec: RecordingSpec, folder: Path | None = None, *, stacked: bool = True
    ) -> None:
        self.network, self.data, self.folder = network, data, folder
        self.plan = make_plan(network, data, spec)
        self.stacked = stacked and not isinstance(network, FeedbackNetwork)
        self.checks: dict[Kind, Check] = {}
        self._currents: dict[str, dict[str, float]] = {}
        self.hidden = [name for name, layer in network.named_layers().items() if layer.spiking and name != "readout"]
        self._base = {
            "weights": weights_hash(network),
            "data": data.describe(),
            "spec": self.plan.spec.model_dump(mode="json"),
            "code": code_version(["eiplatform.lesions.engine", "eiplatform.interventions"]),
        }

    def key(self, cell: Cell) -> str:
        """Return what names the numbers of a cell."""
        modules = {type(one).__module__ for one in cell.interventions}
        own = sorted(name for name in modules if not name.startswith("eiplatform.interventions."))
        return content_hash({**self._base, **cell.spec(), **({"kinds": code_version(own)} if own else {})})[:24]

    def run(self, cells: Sequence[Cell], progress: _Progress | None = None) -> xr.Dataset:
        """Run those cells that are not there yet; return all.

        Returns
        -------
        xarray.Dataset
            ``correct``, ``loss`` and ``confidence`` (cell, sample); ``rate``, ``silent``, ``always_on``,
            ``sparseness``, ``current_exc``, ``current_inh`` and ``gain`` (cell, layer); of cells by step ``rate_step``
            (cell, layer, step) and ``correct_from`` (cell, sample, step), the answer of that and all later steps;
            ``label`` (sample,); the coordinates of the cells.
        """
        if not self.data.labelled:
            raise ConfigError("a lesion study needs labels", where="data", valid="(images, labels)")
        for one in dict.fromkeys(one for cell in cells for one in cell.interventions):
            self.verify(one)
        found: dict[str, xr.Dataset] = {}
        missing: dict[str, Cell] = {}
        for cell in cells:
            key = self.key(cell)
            kept = self._read(key)
            if kept is not None:
                found[key] = kept
            else:
                missing.setdefault(key, cell)
        done = 0
        for group in self._groups(missing):
            with evaluation(self.network) as parameter:
                results = self._run_group([missing[key] for key in group], parameter)
            for key, result in zip(group, results, strict=True):
                found[key] = result
                self._write(key, result)
            done += len(group)
            if progress:
                progress(done, len(missing), f"{done} of {len(missing)} cells")
        return self._joined(cells, [found[self.key(cell)] for cell in cells])

    def estimate(self, cells: Sequence[Cell]) -> float:
        """Return about how many seconds the cells that are missing will take: one batch of the intact network each."""
        missing = [cell for cell in cells if not self._is_there(self.key(cell))]
        batch = self.data.take(self.plan.positions[: self.plan.spec.batch])
        with evaluation(self.network) as parameter:
            self.network.run(shown(self.plan, batch, parameter), self.plan.steps)
            begun = time.perf_counter()
            self.network.run(shown(self.plan, batch, parameter), self.plan.steps)
        return (time.perf_counter() - begun) * len(self.plan.positions) / len(batch) * len(missing)

    def currents(self, layers: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the mean excitatory and subtractive inhibitory current of layers of the intact network."""
        missing = [name for name in layers if name not in self._currents]
        self._currents |= mean_currents(self.network, self.data, self.plan.spec, missing)
        return {name: self._currents[name] for name in layers}

    def verify(self, one: Kind) -> None:
        """Verify an intervention on the first samples."""
        if one in self.checks:
            return
        ids = self.data.ids[self.plan.positions]
        first = np.arange(len(ids))[:_CHECKED]
        if one.samples is not None:
            first = np.union1d(first[: _CHECKED // 2], np.flatnonzero(np.isin(ids, one.samples))[:_CHECKED])
        batch = self.data.take(self.plan.positions[first])
        with evaluation(self.network) as parameter:
            self.checks[one] = check(self.network, one, shown(self.plan, batch, parameter), self.plan.steps, batch.ids)

    def _groups(self, missing: Mapping[str, Cell]) -> Iterator[list[str]]:
        """Return keys of cells that run together: the same images, and interventions that begin in the same layer."""
        order = list(self.network.named_layers())
        alike: dict[tuple[Images, str], list[str]] = {}
        for key, cell in missing.items():
            places = [place.layer for one in cell.interventions for place in one.places(self.network)]
            alike.setdefault((cell.images, min(places, key=order.index, default="")), []).append(key)
        for keys in alike.values():
            size = WORLDS if self.stacked else 1
            yield from (keys[start : start + size] for start in range(0, len(keys), size))

    def _batches(self, images: Images, size: int) -> Iterator[tuple[slice, Split, Callable[[Tensor], Tensor]]]:
        for start in range(0, len(self.plan.positions), size):
            rows = slice(start, min(start + size, len(self.plan.positions)))
            batch = self.data.take(self.plan.positions[rows])
            yield rows, batch, partial(self._shown, batch, images)

    def _shown(self, batch: Split, images: Images, like: Tensor) -> Tensor:
        if images.kind == "plain":
            return shown(self.plan, batch, like)
        if batch.sequence:
            raise ConfigError("event data cannot be disturbed", where="images", valid="plain")
        values = self.plan.spec.drive(images.disturb(batch.images, batch.ids), batch.ids, self.plan.steps)
        return torch.from_numpy(values).to(like.device, like.dtype)

    def _run_group(self, cells: Sequence[Cell], parameter: Tensor) -> list[xr.Dataset]:
        tallies = [_Tally(self, len(self.plan.positions), cell.by_step) for cell in cells]
        images = cells[0].images
        worlds = None
        if self.stacked:
            worlds = Worlds(self.network, [cell.interventions for cell in cells])
            self._refer(worlds.applied, images, parameter)
        size = max(1, min(256, 2048 // len(cells))) if self.stacked else self.plan.spec.batch
        for rows, batch, show in self._batches(images, size):
            x, labels = show(parameter), torch.from_numpy(batch.labels).to(parameter.device)
            steps = None if batch.sequence else self.plan.steps
            if worlds is not None:
                worlds.applied.show(torch.from_numpy(batch.ids))
                self._run_stacked(worlds, x, steps, tallies, rows, labels)
            elif not cells[0].interventions:
                tallies[0].add_run(self.network, x, steps, rows, labels)
            else:
                with self.network.intervene(*cells[0].interventions):
                    applied = self.network.prepare
                    assert isinstance(applied, Applied)
                    if rows.start == 0:
                        kept = applied
                        self._refer(applied, images, parameter)
                    else:
                        applied.take_over(kept)
                    applied.show(torch.from_numpy(batch.ids))
                    tallies[0].add_run(self.network, x, steps, rows, labels)
        return [tally.result() for tally in tallies]

    def _refer(self, applied: Applied, images: Images, parameter: Tensor) -> None:
        def of(places: np.ndarray) -> Tensor:
            return self._shown(self.data.take(self.plan.positions[places]), images, parameter)

        ids = self.data.ids[self.plan.positions]
        applied.learn(ids, self.plan.spec.batch, of, None if self.data.sequence else self.plan.steps)

    def _run_stacked(
        self,
        worlds: Worlds,
        x: Tensor,
        steps: int | None,
        tallies: Sequence[_Tally],
        rows: slice,
        labels: Tensor,
    ) -> None:
        n = len(labels)
        shared: dict[str, dict[str, Tensor]] = {}

        def see(seen: Seen) -> None:
            if seen.layer == "readout":
                for index, world in enumerate(seen.worlds):
                    tallies[world].answer_by_step(seen.output[:, index * n : (index + 1) * n], rows, labels)
            if seen.layer not in self.hidden:
                return
            values = {"sent": seen.output, **seen.signals}
            if seen.worlds == (Worlds.INTACT,):
                shared[seen.layer] = values
                return
            for index, world in enumerate(seen.worlds):
                own = {k: v[:, index * n : (index + 1) * n] if v.shape[1] > n else v for k, v in values.items()}
                tallies[world].add(seen.layer, own)
                tallies[world].seen.add((seen.layer, rows.start))

        record = {name: _SIGNALS & self._known(name) for name in self.hidden}
        logits = worlds.run(x, steps, len(tallies), record, see)
        for world, tally in enumerate(tallies):
            for layer, values in shared.items():  # layers before the first that differs
                if (layer, rows.start) not in tally.seen:
                    tally.add(layer, values)
            tally.answer(logits[world], rows, labels)

    def _known(self, layer: str) -> frozenset[str]:
        return frozenset(f"E/{name}" for name in self.network.named_layers()[layer].signals["E"])

    def _is_there(self, key: str) -> bool:
        return self.folder is not None and (self.folder / f"{key}.npz").is_file()

    def _read(self, key: str) -> xr.Dataset | None:
        if self.folder is None or not self._is_there(key):
            return None
        place = self.folder / f"{key}.npz"
        try:
            with np.load(place, allow_pickle=False) as file:
                data = {name: (_DIMS.get(name, ("layer_read",)), file[name]) for name in file.files}
            return xr.Dataset(data, {"layer_read": self.hidden})
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise StoreError("this cell is damaged", where=str(place), remedy="delete it; it is run again") from error

    def _write(self, key: str, result: xr.Dataset) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = BytesIO()
            held: dict[str, Any] = {str(name): values.values for name, values in result.data_vars.items()}
            np.savez(file, **held)
            write_bytes(self.folder / f"{key}.npz", file.getvalue())

    def _joined(self, cells: Sequence[Cell], results: Sequence[xr.Dataset]) -> xr.Dataset:
        data = xr.concat(results, dim="cell", join="exact")
        names = dict.fromkeys(name for cell in cells for name in cell.about)
        for name in names:
            values = [cell.about.get(name) for cell in cells]
            text = any(isinstance(value, str) for value in values)
            blank: Any = "" if text else np.nan
            data = data.assign_coords({name: ("cell", [blank if value is None else value for value in values])})
        data = data.assign_coords(images=("cell", [str(cell.images) for cell in cells]))
        data = data.assign_coords(interventions=("cell", ["; ".join(map(repr, cell.interventions)) for cell in cells]))
        data["label"] = ("sample", self.data.labels[self.plan.positions])
        return data.assign_coords(sample=self.data.ids[self.plan.positions])


class _Tally:
    """What is counted of one cell."""

    def __init__(self, engine: Engine, n: int, by_step: bool) -> None:
        self.engine = engine
        self.by_step, steps = by_step, engine.plan.steps if by_step else 0
        self.rates = {layer: np.zeros(steps) for layer in engine.hidden}
        self.correct_from = np.zeros((n, steps), bool)
        self.correct, self.loss, self.confidence = np.zeros(n, bool), np.zeros(n, np.float32), np.zeros(n, np.float32)
        self.counts: dict[str, Tensor] = {}
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.shown: dict[str, int] = {}
        self.seen: set[tuple[str, int]] = set()

    def add_run(self, network: Network, x: Tensor, steps: int | None, rows: slice, labels: Tensor) -> None:
        """Count an ordinary run."""
        hidden = self.engine.hidden
        sent = {
            name: next(s for s in ("output", "spikes", "activity") if f"E/{s}" in self._known(name)) for name in hidden
        }
        record = {
            f"{name}/E": frozenset(key.removeprefix("E/") for key in _SIGNALS & self._known(name)) | {sent[name]}
            for name in hidden
        }
        shown = next(s for s in ("output", "spikes", "current_net") if f"E/{s}" in self._known("readout"))
        if self.by_step:
            record["readout/E"] = frozenset({shown})
        output = network.run(x, steps, record)
        if self.by_step:
            bias = network.populations()["readout/E"].parameters.get("bias", np.zeros(1))
            answers = output.signals["readout/E"][shown]
            self.answer_by_step(answers + torch.from_numpy(bias).to(answers), rows, labels)
        for name in hidden:
            values = {f"E/{signal}": v for signal, v in output.signals[f"{name}/E"].items()}
            self.add(name, {**values, "sent": values[f"E/{sent[name]}"]})
        self.answer(output.logits, rows, labels)

    def _known(self, layer: str) -> frozenset[str]:
        return self.engine._known(layer)

    def add(self, layer: str, values: Mapping[str, Tensor]) -> None:
        """Count one layer on one batch."""
        spikes = values["sent"].abs()
        if self.by_step:
            per_step = spikes.mean(tuple(range(2, spikes.ndim)), dtype=torch.float64).sum(1).cpu().numpy()
            self.rates[layer] += per_step / len(self.correct)  # of a constant rate one step stands for all
        counts = spikes.sum((0, 1), dtype=torch.float32).double().flatten()
        self.counts[layer] = counts + self.counts.get(layer, 0)
        self.shown[layer] = self.shown.get(layer, 0) + spikes.shape[0] * spikes.shape[1]
        own = self.sums.setdefault(layer, {})
        for name, signal in values.items():
            if name != "sent":
                own[name] = signal.sum(dtype=torch.float64) * (signal.shape[1] / signal.numel()) + own.get(name, 0)

    def answer_by_step(self, outputs: Tensor, rows: slice, labels: Tensor) -> None:
        """Take the answers (T, B, ...) of every step and all that follow on one batch."""
        if self.by_step:
            votes = self.engine.network.votes
            real = outputs.float().expand(self.correct_from.shape[1], *outputs.shape[1:])
            sums = real.flip(0).cumsum(0).flip(0)
            sums = sums.view(*sums.shape[:2], -1, votes).mean(3) if votes else sums
            self.correct_from[rows] = (sums.argmax(2) == labels).T.cpu().numpy()

    def answer(self, logits: Tensor, rows: slice, labels: Tensor) -> None:
        """Take the answers on one batch."""
        real = logits.float()
        self.correct[rows] = (real.argmax(1) == labels).cpu().numpy()
        self.loss[rows] = functional.cross_entropy(real, labels, reduction="none").cpu().numpy()
        self.confidence[rows] = real.softmax(1).amax(1).cpu().numpy()

    def result(self) -> xr.Dataset:
        """Return the numbers of the cell."""
        layers, n = self.engine.hidden, len(self.correct)
        most = self.engine.network.max_spikes
        rows: dict[str, list[float]] = {}
        for layer in layers:
            counts, shown_ = self.counts[layer], self.shown[layer]
            rates = counts / shown_
            spread = float((rates**2).mean())
            told = {
                "rate": float(rates.mean()),
                "silent": float((counts == 0).double().mean()),
                "always_on": float((counts == shown_ * most).double().mean()),
                "sparseness": 1 - float(rates.mean()) ** 2 / spread if spread else np.nan,
            }
            for name in sorted(_SIGNALS):
                total = self.sums[layer].get(name)
                told[name.removeprefix("E/")] = np.nan if total is None else float(total) / n
            for name, value in told.items():
                rows.setdefault(name, []).append(value)
        by_step: dict[str, Any] = {}
        if self.by_step:
            by_step["correct_from"] = (("sample", "step"), self.correct_from.astype(np.int8))
            by_step["rate_step"] = (("layer_read", "step"), np.array([self.rates[layer] for layer in layers]))
        return xr.Dataset(
            {
                "correct": ("sample", self.correct.astype(np.int8)),
                "loss": ("sample", self.loss),
                "confidence": ("sample", self.confidence),
                **{name: ("layer_read", values) for name, values in rows.items()},
                **by_step,
            },
            {"layer_read": layers},
        )
