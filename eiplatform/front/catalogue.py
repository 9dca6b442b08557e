"""What there is, by name: ``list`` and ``describe``."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from eiplatform.discovery import discovered, files_of
from eiplatform.errors import UnknownNameError, choose, suggest

__all__ = ["Description", "Listing", "describe", "list"]

_DOCS = Path(__file__).parents[2] / "docs"


class Listing(dict[str, str]):
    """Names and what each of them is, in a line; it is a dict that prints as a table."""

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        super().__init__(entries)
        self.kind = kind

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name.ljust(width)}  {text}".rstrip() for name, text in self.items())

    def _repr_html_(self) -> str:
        rows = (f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>" for name, text in self.items())
        return f"<table><tr><th>{escape(self.kind)}</th><th></th></tr>{''.join(rows)}</table>"


@dataclass(frozen=True)
class Description:
    """What one thing is.

    Attributes
    ----------
    kind, name, title : str
    sections : dict of str to str
        E.g. formula, parameters, example, paper.
    """

    kind: str
    name: str
    title: str
    sections: Mapping[str, str]

    def __str__(self) -> str:
        parts = [f"{self.name} ({self.kind}): {self.title}"]
        for heading, text in self.sections.items():
            parts.append(f"{heading}\n{textwrap.indent(text.strip(), '  ')}")
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        told = "".join(f"<dt>{escape(k)}</dt><dd><pre>{escape(v.strip())}</pre></dd>" for k, v in self.sections.items())
        return f"<div><b>{escape(self.name)}</b> ({escape(self.kind)}): {escape(self.title)}<dl>{told}</dl></div>"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-compatible data."""
        return {"kind": self.kind, "name": self.name, "title": self.title, **self.sections}


def list(kind: str | None = None) -> Listing:  # noqa: A001
    """List what there is: what ships, and what the project and installed packages add.

    Parameters
    ----------
    kind : str, optional
        ``"circuits"``, ``"measurements"``, ``"statistics"``, ``"signals"``, ``"analyses"``, ``"figures"``,
        ``"studies"``, ``"configs"``, ``"datasets"``, ``"layers"``, ``"neurons"``, ``"interventions"`` or
        ``"designs"``; default: the kinds.

    Returns
    -------
    Listing
        A dict of names and one line about each.

    Raises
    ------
    UnknownNameError
        For another kind.

    Examples
    --------
    >>> import eiplatform as ei
    >>> "brunel-2000" in ei.list("circuits"), ei.list("signals")["gain"]
    (True, 'factor that multiplies the net current (dimensionless)')
    """
    if kind is None:
        return Listing("kind", {name: entry.about for name, entry in _KINDS.items()})
    entry = _KINDS[choose(kind, _KINDS, "kind", where="list")]
    return Listing(kind, {name: _line(thing.title) for name, thing in entry.things().items()})


def describe(name: str, kind: str | None = None) -> Description:
    """Say what something is: question or formula, parameters with units and defaults, an example, the paper.

    Parameters
    ----------
    name : str
        Of a statistic, circuit, measurement of cortex, signal, analysis, figure, study, configuration, data set,
        layer, neuron model or intervention; or the path of a picture that eiplatform drew, which says how to make it
        again.
    kind : str, optional
        Where two kinds have the name: which of them is meant, as in :func:`list`.

    Returns
    -------
    Description

    Raises
    ------
    UnknownNameError
        If nothing has that name; near names are suggested.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.describe("brunel-2000").kind
    'circuits'
    """
    if kind is None and Path(name).suffix.lower() in _PICTURES and Path(name).is_file():
        return _picture(Path(name))
    kinds = _KINDS if kind is None else {kind: _KINDS[choose(kind, _KINDS, "kind", where="describe")]}
    valid: builtins.list[str] = []
    for entry in kinds.values():
        things = entry.things()
        if name in things:
            return things[name]
        valid += things
    raise UnknownNameError(
        f"nothing is called '{name}'{suggest(name, valid)}",
        where="describe",
        remedy=f"list the names with ei.list('{kind or 'statistics'}') or 'eiplatform list {kind or 'statistics'}'",
    )


_PICTURES = (".png", ".pdf", ".svg")


def _picture(path: Path) -> Description:
    """Say how a picture that eiplatform drew can be made again."""
    from eiplatform.figures import origin_of_picture

    found = origin_of_picture(path)
    sections = {"make it again": found.pop("command", "not stated")}
    return Description("picture", path.name, f"the figure {found.pop('figure', '')}", sections | found)


_MAY = {True: "comparable", False: "not comparable"}


@dataclass(frozen=True)
class _Kind:
    about: str
    things: Callable[[], Mapping[str, Description]]


def _line(text: str) -> str:
    """Return the first sentence."""
    return re.split(r"(?<=[.?!])\s", " ".join(text.split()), maxsplit=1)[0].rstrip(".")


def _split(thing: Any) -> tuple[str, dict[str, str]]:
    """Return the first paragraph and the numpydoc sections of a docstring."""
    text = inspect.getdoc(thing) or ""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", text, flags=re.MULTILINE)
    head, _, more = parts[0].strip().partition("\n\n")
    sections = {"about": more.strip()} if more.strip() else {}
    names = {"References": "paper", "Examples": "example", "Parameters": "parameters", "Attributes": "parameters"}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title in names:
            sections[names[title]] = body.strip()
    return " ".join(head.split()), sections


def _page(path: Path) -> dict[str, str]:
    """Return the formula and the warning of a documentation page, where the checkout has it."""
    if not path.is_file():
        return {}
    parts = re.split(r"^## (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {title.strip().lower(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}
    return {title: body for title, body in sections.items() if title in ("formula", "when it misleads")}


def _statistics() -> dict[str, Description]:
    from eiplatform import statistics

    found = {}
    for key, entry in statistics.STATISTICS.items():
        _, sections = _split(getattr(statistics, entry.name))
        page = _page(
            Path(import_module("eiplatform").__file__ or "").parents[1] / "docs" / "statistics" / f"{entry.name}.md"
        )
        facts = {
            "question": entry.question,
            "how": entry.call,
            **page,
            **sections,
            "needs": ", ".join(entry.needs) or "nothing",
            "unit": f"{entry.units('step')} in a network, {entry.units('ms')} in a circuit",
            "taken over": entry.over,
            "network and circuit": f"{_MAY[entry.comparable]}: {entry.comparable_reason}",
            "paper": entry.reference,
        }
        found[key] = Description("statistics", key, entry.label, facts)
    return found


def _circuits() -> dict[str, Description]:
    from eiplatform.microcircuits import load, names

    found = {}
    for name in names():
        circuit = load(name)
        title, sections = _split(type(circuit))
        module_title, _ = _split(import_module(type(circuit).__module__))
        parameters = "\n".join(
            f"{field.name} = {getattr(circuit.parameters, field.name)}"
            for field in dataclasses.fields(circuit.parameters)
        )
        populations = ", ".join(f"{one.name} ({one.size} neurons, {one.role})" for one in circuit.populations)
        facts = {
            "populations": populations,
            "parameters (published values; the unit ends the name)": parameters,
            "example": f'ei.simulate("{name}", seeds=3)',
            "paper": circuit.reference,
        }
        sections.pop("parameters", None)
        found[name] = Description("circuits", name, module_title or title, {**sections, **facts})
    return found


def _signals() -> dict[str, Description]:
    from eiplatform.store.schema import SIGNALS

    return {
        name: Description(
            "signals",
            name,
            f"{signal.long_name} ({signal.dimension})",
            {"values": "at least 0" if signal.magnitude else "of either sign", "dimensions": "sample, time, neuron"},
        )
        for name, signal in SIGNALS.items()
    }


def _analyses() -> dict[str, Description]:
    from eiplatform.analyses import analysis_names, find_analysis

    found = {}
    for name in analysis_names():
        analysis = find_analysis(name)
        _, sections = _split(type(analysis).run)
        example = f"eiplatform analyse {name} RECORDING --out {name}.nc"
        more = {"figures": ", ".join(analysis.plots) or "none", "example": example}
        found[name] = Description("analyses", name, analysis.question, {**sections, **more})
    return found


def _figures() -> dict[str, Description]:
    found = {}
    for each in discovered("figures"):
        module = each.load()
        if hasattr(module, "ANALYSIS"):
            title, sections = _split(module)
            sections = {**sections, "draws": f"results of the analysis '{module.ANALYSIS}'"}
            sections |= {"question": getattr(module, "QUESTION", "")} if hasattr(module, "QUESTION") else {}
            sections["example"] = f"result = ei.analyse('{module.ANALYSIS}', recording)\nei.plot.{each.name}(result)"
            found[each.name] = Description("figures", each.name, title, sections)
    return found


def _studies() -> dict[str, Description]:
    from eiplatform.study import load_study

    found = {}
    for name, path in files_of("studies").items():
        declared = load_study(path)
        steps = "\n".join(f"{step}: {task['kind']}" for step, task in declared.steps.items())
        sections = {"tasks": steps, "example": f"eiplatform study {name} --dry-run", "file": str(path)}
        found[name] = Description("studies", name, declared.question or declared.title, sections)
    return found


def _configs() -> dict[str, Description]:
    found = {}
    for name, path in files_of("configs").items():
        text = path.read_text(encoding="utf-8")
        comment = " ".join(line.lstrip("# ") for line in text.split("\n\n")[0].splitlines() if line.startswith("#"))
        sections = {"file": text, "example": f'ei.train("{name}", path="runs/{name}")'}
        found[name] = Description("configs", name, comment or "a configuration of a training", sections)
    return found


def _datasets() -> dict[str, Description]:
    from eiplatform.datasets.registry import entries

    found = {}
    for name, entry in entries().items():
        shape = " x ".join(map(str, entry["input_shape"])) or "not known before it is read"
        sections = {
            "inputs": f"{shape}, {entry['n_classes']} classes",
            "source": str(entry["source"]),
            "licence": str(entry["licence"]),
            "paper": str(entry["citation"]),
            "example": f'ei.train("digits-mlp", dataset={{"name": "{name}"}})',
        }
        found[name] = Description("datasets", name, str(entry["title"]), sections)
    return found


def _parts(kind: str, attribute: str) -> dict[str, Description]:
    """Describe the parts of networks: modules that bind one to `attribute`."""
    found = {}
    for each in discovered(kind):
        module = each.load()
        if hasattr(module, attribute):
            title, sections = _split(module)
            setting = "network.layer" if kind == "layers" else "network.neuron.model"
            sections["example"] = f'ei.train("digits-mlp", **{{"{setting}": "{each.name}"}})'
            found[each.name] = Description(kind, each.name, title, sections)
    return found


def _interventions() -> dict[str, Description]:
    from eiplatform.interventions.intervention import kinds

    return {name: Description("interventions", name, *_split(kind)) for name, kind in kinds().items()}


def _measurements() -> dict[str, Description]:
    from eiplatform.store.measured import measured, shipped_measurements

    found = {}
    for name in shipped_measurements():
        cortex = measured(name)
        held = "\n".join(
            f"{one.name}: median {one.median:g} Hz, 5 to 95 % {one.band[0]:g} to {one.band[1]:g}, n = {one.n}"
            for one in cortex.chosen(statistic="rate")
        )
        facts = {"species": cortex.species, "area": cortex.area, "state": cortex.state, "method": cortex.method}
        more = {"rates of single units": held, "example": f'ei.compare(recording, "{name}")', "paper": cortex.source}
        found[name] = Description("measurements", name, cortex.title, {**facts, "licence": cortex.licence, **more})
    return found


def _designs() -> dict[str, Description]:
    from eiplatform.lesions.design_kinds import design_types

    return {name: Description("designs", name, *_split(kind)) for name, kind in design_types().items()}


_KINDS: dict[str, _Kind] = {
    "circuits": _Kind("published cortical circuits, for ei.simulate", _circuits),
    "statistics": _Kind("what is measured of a recording, in data.ei", _statistics),
    "measurements": _Kind("what was measured in cortex, for ei.compare", _measurements),
    "signals": _Kind("what a recording holds of each population", _signals),
    "analyses": _Kind("questions that are answered from recordings, for ei.analyse", _analyses),
    "figures": _Kind("figures of results, in ei.plot", _figures),
    "studies": _Kind("whole questions: trainings, recordings, analyses, figures, for ei.study", _studies),
    "configs": _Kind("configurations of trainings, for ei.train", _configs),
    "datasets": _Kind("data sets by name", _datasets),
    "layers": _Kind("kinds of layers of networks", lambda: _parts("layers", "TYPE")),
    "neurons": _Kind("neuron models of networks", lambda: _parts("neurons", "MODEL")),
    "interventions": _Kind("what can be changed in a network while it is recorded", _interventions),
    "designs": _Kind("designs of lesion studies, for ei.lesion_study", _designs),
}
