"""The gallery: a page per figure that is found, with its picture, its question and the script that draws it.

A new file in ``figures/`` appears by itself.  Pictures are drawn from the results of ``runs/demo`` where these exist
(``make demo``), or of the run that ``EIPLATFORM_GALLERY`` names, and else from made-up numbers; the page says which.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from pages import ROOT, put

matplotlib.use("Agg")

from eiplatform.analyses import Result, load_result  # noqa: E402
from eiplatform.discovery import discovered  # noqa: E402
from eiplatform.figures import find_figure, save  # noqa: E402

MADE_UP = "Drawn from made-up numbers: read the form, not the values."


def figures() -> list[str]:
    """Return the names of all figures that draw the result of an analysis."""
    return [found.name for found in discovered("figures") if hasattr(found.load(), "ANALYSIS")]


def real() -> dict[str, list[tuple[Path, Result]]]:
    """Return the results of a run by analysis."""
    run = Path(os.environ.get("EIPLATFORM_GALLERY", ROOT / "runs" / "demo"))
    found: dict[str, list[tuple[Path, Result]]] = {}
    for path in sorted((run / "results").glob("*.nc")) if run.is_dir() else ():
        result = load_result(path)
        found.setdefault(str(result.data.attrs["analysis"]), []).append((path, result))
    return found


def drawable(name: str, results: list[tuple[Path, Result]]) -> Iterator[tuple[str, object]]:
    """Yield the results that hold something that the figure draws, and what they are of."""
    module = find_figure(name)
    for path, result in results:
        if len(module.table(result.data)):
            yield f"Drawn from `{path.name}` of a run of `eiplatform demo`.", result.data


def made_up(name: str) -> tuple[str, object]:
    """Return a result from formulas."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from tests.unit.figure_results import result_of

    return MADE_UP, result_of(name)


def write(made: Path) -> None:
    """Write the page of every figure and the page of all."""
    runs, cards = real(), []
    for name in figures():
        module = find_figure(name)
        about, result = next(drawable(name, runs.get(module.ANALYSIS, [])), None) or made_up(name)
        folder = made / "pictures"
        if not (folder / f"{name}.png").is_file() or os.environ.get("EIPLATFORM_GALLERY"):
            save(name, result, folder, svg=False)
        title = (module.__doc__ or name).strip().split("\n\n")[0].rstrip(".")
        script = (
            f'import eiplatform as ei\n\nresult = ei.analyse("{module.ANALYSIS}", recording)\nresult.plot("{name}")'
        )
        put(
            made / "gallery" / f"{name}.md",
            f"# {name}\n\n**{module.QUESTION}**\n\n![{module.alt(result)}](../pictures/{name}.png)\n\n{title}.\n\n"
            f"{module.caption(result)}\n\n{about}\n\n## Script\n\n```python\n{script}\n```\n\n"
            f"The numbers drawn lie beside every saved figure as CSV. Its source: `figures/{name}.py`.\n",
        )
        cards.append(
            f"[![{name}](pictures/{name}.png)](gallery/{name}.md)\n\n[{name}](gallery/{name}.md): {module.QUESTION}\n"
        )
    body = "\n".join(f":::{{container}} card\n{card}:::\n" for card in cards)
    put(
        made / "gallery.md",
        "# Gallery\n\nOne picture for each figure. A click leads to what it shows and to the script that draws it.\n\n"
        f"::::{{container}} gallery\n{body}::::\n",
    )


if __name__ == "__main__":
    write(ROOT / "docs" / "generated")
