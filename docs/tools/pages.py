"""Pages of the site that are generated from the code: reference, handbook, bibliography; no list is kept by hand."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

import eiplatform as ei
from eiplatform.store.measured import measured, shipped_measurements

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FOLDERS = {
    "statistics": "generated/statistics.md",
    "circuits": "generated/circuits.md",
    "extending": "extending/statistic.md",
    "findings": "findings/ei_versus_bn.md",
    "tutorials": "tutorials/1-train-record-look.md",
    "gallery": "generated/gallery.md",
    "research": "validation.md",
}
"""Folders that pages link to, and the page that the site shows instead."""


def put(path: Path, text: str) -> None:
    """Write a page, but only if it changed: what did not change is not read again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    cells = ([" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def write(made: Path) -> None:
    """Write every generated page into a folder."""
    pages = {
        "statistics": _statistics(),
        "circuits": _circuits(),
        "systems": _systems(),
        "cortex": _cortex(),
        "front-door": _front_door(),
        "accessor": _accessor(),
        "command-line": _command_line(),
        "configuration": _configuration(),
        "store-schema": _store_schema(),
        "bibliography": _bibliography(),
    }
    for name, text in pages.items():
        put(made / f"{name}.md", text)


def _statistics() -> str:
    from eiplatform.statistics import STATISTICS

    rows = [
        (f"[{e.name}](../statistics/{e.name}.md)", f"`{key}`", e.label, e.question, "yes" if e.comparable else "no")
        for key, e in STATISTICS.items()
    ]
    return (
        "# Statistics\n\nEvery statistic has a page: formula, assumptions, when it misleads, paper, example. "
        "In Python: `ei.describe(key)`.\n\n"
        "The last column says whether a value of a network may be compared with one of a circuit.\n\n"
        + table(("page", "key", "what it is", "question", "comparable"), sorted(rows))
    )


def _circuits() -> str:
    from eiplatform.microcircuits import load, names

    rows = []
    for name in names():
        page = DOCS / "circuits" / f"{name}.md"
        target = f"../circuits/{name}.md" if page.is_file() else "../microcircuits.md"
        sizes = ", ".join(f"{one.name} {one.size}" for one in load(name).populations)
        rows.append((f"[{name}]({target})", ei.list("circuits")[name], sizes, load(name).reference))
    return (
        "# Circuits\n\nPublished circuits, simulated into the same kind of recording as a network. "
        "How to run them: [microcircuits](../microcircuits.md).\n\n"
        + table(("circuit", "what it is", "populations and neurons", "paper"), rows)
    )


def _systems() -> str:
    parts = [
        "# Systems\n\nWhat can be trained. Equations, sources and results: [systems](../systems.md), "
        "[networks](../networks.md), [equilibrium networks](../equilibrium.md).\n"
    ]
    for kind, title in (("layers", "Layers"), ("neurons", "Neuron models"), ("datasets", "Data sets")):
        rows = [(f"`{name}`", text) for name, text in ei.list(kind).items()]
        parts.append(f"## {title}\n\n" + table(("name", "what it is"), rows))
    rows = [(f"`{name}`", text) for name, text in ei.list("configs").items()]
    parts.append(
        "## Configurations\n\n`ei.train(NAME)` or `eiplatform train NAME`.\n\n" + table(("name", "what"), rows)
    )
    return "\n".join(parts)


def _cortex() -> str:
    parts = ["# Measured cortex", "", "How networks and circuits are compared with it: [](../measured-cortex.md)."]
    for name in shipped_measurements():
        cortex = measured(name)
        head = ("layer, class and condition", "units", "median (Hz)", "5 %", "95 %", "sd of ln rate")
        rows = [
            (one.name, str(one.n), f"{one.median:.2f}", *(f"{end:.2f}" for end in one.band), f"{one.log_sd or 0:.2f}")
            for one in cortex.chosen(statistic="rate")
        ]
        about = f"{cortex.title}; {cortex.state}; {cortex.method}."
        parts += ["", f"## `{name}`", "", about, "", table(head, rows)]
        parts += [f"Source: {cortex.source}. Licence: {cortex.licence}.", ""]
    return "\n".join(parts)


def _front_door() -> str:
    names = [name for name in dir(ei) if not name.startswith("_") and name != "plot"]
    functions = [name for name in names if inspect.isfunction(getattr(ei, name))]
    classes = [name for name in names if inspect.isclass(getattr(ei, name))]
    changes = [name for name in classes if issubclass(getattr(ei, name), ei.Scale.__bases__[0])]
    rest = [name for name in names if name not in {*functions, *classes}]
    parts = ["# Front door\n\n`import eiplatform as ei`: everything that `dir(ei)` shows. The rest is private.\n"]
    chapters = (
        ("Functions", functions),
        ("Callable modules", rest),
        ("Objects", [name for name in classes if name not in changes]),
        ("Interventions", changes),
    )
    for title, chosen in chapters:
        parts.append(f"## {title}\n")
        parts += [_documented(name) for name in sorted(chosen, key=str.lower)]
    return "\n".join(parts)


def _documented(name: str) -> str:
    thing = getattr(ei, name)
    if inspect.isclass(thing):
        inherited = "" if issubclass(thing, Exception) else "\n   :members:"
        directive = f".. autoclass:: {thing.__module__}.{thing.__qualname__}{inherited}"
    elif inspect.isfunction(thing):
        directive = f".. autofunction:: {thing.__module__}.{thing.__qualname__}"
    else:
        text = (inspect.getdoc(thing) or "").strip()
        return f"### ei.{name}\n\n{text.splitlines()[0].replace('``', '`') if text else ''}\n"
    return f"### ei.{name}\n\n```{{eval-rst}}\n{directive}\n```\n"


def _accessor() -> str:
    from eiplatform.statistics.registry import DECLARED

    names = sorted(DECLARED)
    parts = [
        '# Accessor\n\nStatistics are methods of a population, `rec["fc1/E"].ds.ei.NAME()`, and of a recording, '
        "`rec.ei.NAME()`. `rec.ei.summary()` computes all of them with intervals.\n",
        "```{eval-rst}\n.. autoclass:: eiplatform.statistics.accessor.EIAccessor\n   :members: summary\n```\n",
    ]
    parts += [
        f"## {name}\n\nPage: [{name}](../statistics/{name}.md).\n\n"
        f"```{{eval-rst}}\n.. autofunction:: eiplatform.statistics.{name}\n```\n"
        for name in names
    ]
    return "\n".join(parts)


def _command_line() -> str:
    from eiplatform.cli.app import app

    text = app.generate_docs(output_format="markdown")
    text = re.sub(r"## Table of Contents\n.*?(?=\*\*Commands\*\*)", "", text, flags=re.DOTALL)
    text = re.sub(r"\[`([^`]*)`\]\(#[^)]*\)", r"`\1`", text).replace("# eiplatform\n", "# Command line\n", 1)
    text = re.sub(r"^```console$", "```text", text, flags=re.MULTILINE)
    return re.sub(r"^(#{2,})(.*)$", lambda found: f"##{found[2]}", text, flags=re.MULTILINE)


def _type(annotation: Any) -> str:
    if annotation is type(None):
        return "none"
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation))
    if origin is not None and getattr(origin, "__name__", "") != "Annotated":
        inside = [repr(one) if isinstance(one, str) else _type(one) for one in get_args(annotation)]
        joined = ", ".join("any number" if one == "Ellipsis" else one for one in inside)
        name = getattr(origin, "__name__", str(origin).rpartition(".")[2])
        return joined if name == "Literal" else f"{name} of {joined}"
    return str(getattr(annotation, "__name__", annotation))


def _fields(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, type[BaseModel], list[tuple[str, ...]]]]:
    rows, inside = [], []
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        nested = next((k for k in kinds if inspect.isclass(k) and issubclass(k, BaseModel)), None)
        if nested is not None:
            inside.append((f"{at}{name}", nested))
            continue
        limits = ", ".join(
            f"{sign} {getattr(rule, key)}"
            for rule in field.metadata
            for key, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            if hasattr(rule, key)
        )
        default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        rows.append((f"`{at}{name}`", _type(field.annotation), default, limits, field.description or ""))
    yield at.rstrip(".") or "top level", model, rows
    for path, nested in inside:
        yield from _fields(nested, f"{path}.")


def _configuration() -> str:
    from eiplatform.config import Config

    parts = [
        "# Configuration\n\nEvery key of a configuration of a training (`eiplatform train FILE.yml --set KEY=VALUE`, "
        "`ei.train(..., network={...})`). An unknown key is an error.\n"
    ]
    for path, model, rows in _fields(Config):
        about = (inspect.getdoc(model) or "").split("\n\n")[0].replace("``", "`")
        parts.append(f"## {path}\n\n{about}\n\n" + table(("key", "type", "default", "limits", "meaning"), rows))
    return "\n".join(parts)


def _store_schema() -> str:
    from eiplatform.store import schema
    from eiplatform.store.attributes import ATTRIBUTES

    parts = [
        f"# Store schema\n\nVersion {schema.SCHEMA_VERSION}. Signals have the dimensions sample, time, neuron. "
        "How files lie on disk: [store](../store.md). What words mean: [words](../words.md).\n"
    ]
    for title, signals in (
        ("Signals", schema.SIGNALS),
        ("Parameters of neurons", schema.PARAMETERS),
        ("Spikes as events", schema.EVENTS),
    ):
        rows = [(f"`{n}`", s.long_name, s.dimension, "yes" if s.magnitude else "") for n, s in signals.items()]
        parts.append(f"## {title}\n\n" + table(("name", "what it is", "dimension", "never negative"), rows))
    rows = [
        (f"`{name}`", one.what if hasattr(one, "what") else next(iter(vars(one).values())))
        for name, one in ATTRIBUTES.items()
    ]
    parts.append("## Attributes\n\n" + table(("name", "what it is"), rows))
    return "\n".join(parts)


def _bibliography() -> str:
    uses: dict[str, set[str]] = {}
    for kind in ("statistics", "circuits", "datasets", "interventions"):
        for name in ei.list(kind):
            for paper in re.split(r";\s+(?=[A-Z])", ei.describe(name, kind).sections.get("paper", "")):
                text = " ".join(paper.split()).strip().rstrip(".")
                if text and text not in ("None", "none"):
                    uses.setdefault(text, set()).add(name)
    rows = [(paper, ", ".join(f"`{name}`" for name in sorted(names))) for paper, names in sorted(uses.items())]
    return (
        "# Bibliography\n\nThe papers behind statistics, circuits, data sets and interventions, as each of them "
        "states it. A report and `eiplatform figures RUN --paper` write BibTeX of what was used.\n\n"
        + table(("paper", "behind"), rows)
        + "\nTo cite eiplatform itself: `CITATION.cff`.\n"
    )


if __name__ == "__main__":
    write(DOCS / "generated")
    print(json.dumps(sorted(path.name for path in (DOCS / "generated").iterdir())))
