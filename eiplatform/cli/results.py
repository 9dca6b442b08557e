"""Commands that turn recordings into answers: ``demo``, ``analyse``, ``compare``, ``figures``, ``report``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from eiplatform.cli.options import Flag, Json, Many, Overwrite, Partial, Set, assignments
from eiplatform.errors import ConfigError

if TYPE_CHECKING:
    from eiplatform.analyses import Result, Table

__all__ = ["analyse", "compare", "demo", "figures", "report"]

_DEMO_PLACES = {
    "report": "report.html",
    "figures (PNG, PDF, CSV)": "figures",
    "results (netCDF)": "results",
    "recordings of the network": "recordings",
    "recording of the circuit": "reference/brunel-2000-C",
    "lesions": "lesions",
    "checkpoints and metrics": "training",
    "scorecard as JSON": "scorecard.json",
}


def demo(
    *,
    out: Path = Path("runs/demo"),
    seed: int = 1,
    size: str = "full",
    device: str = "cpp_standalone",
    jobs: int = 2,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Go the whole road once: train, record, simulate, lesion, analyse, compare, draw, report.

    It is the study that ships as analyses/studies/demo.yml.  Interrupted, it goes on where it was.

    Parameters
    ----------
    out : Path
        Output directory.
    seed : int
        Decides every random choice; the same seed gives the same numbers.
    size : str
        full, or small (a quick check, too small for conclusions).
    device : str
        Of the Brian2 simulation: cpp_standalone, cython (both need a C++ compiler) or numpy.
    jobs : int
        Realisations of the circuit that are simulated at the same time.
    """
    from eiplatform.cli.output import print_json, print_table, say
    from eiplatform.files import write_json
    from eiplatform.front.studies import study

    changes = {"constants.seed": seed, "constants.device": device, "constants.jobs": jobs}
    variant = None if size == "full" else size
    made = study("demo", out, variant=variant, changes=changes, overwrite=overwrite, quiet=json)
    tables = [asdict(table) for table in made.tables]
    write_json(out / "scorecard.json", {"seed": seed, "size": size, "findings": made.findings, "tables": tables})
    places = {name: str(out / part) for name, part in _DEMO_PLACES.items()}
    if json:
        print_json({"report": places["report"], "findings": made.findings, "tables": tables, "places": places})
    else:
        _print_tables(made.tables)
        say("What came out")
        for finding in made.findings:
            say(f"- {finding}")
        say("")
        print_table("Where everything is", ["what", "path"], [[name, path] for name, path in places.items()])
        say(f"\nOpen {places['report']} in a browser.")
    for name, error in made.failed.items():
        print(f"eiplatform: FAILED {name}: {error}", file=sys.stderr)  # noqa: T201
    return 3 if made.failed else 0


def analyse(
    name: str,
    inputs: list[Path],
    *,
    out: Path,
    null: Annotated[list[Path] | None, Many] = None,
    surrogates: str | None = None,
    interval: Literal["percentile", "bca"] | None = None,
    scheduler: str | None = None,
    statistics: Annotated[list[str] | None, Many] = None,
    partial: Partial = False,
    bootstrap: int | None = None,
    seed: int | None = None,
    set_: Annotated[list[str] | None, Set] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Answer one question from recordings, and store the answer as netCDF.

    Parameters
    ----------
    name : str
        Of an analysis ('eiplatform list analyses' names them), or the path of a Python file that holds one.
    inputs : list[Path]
        Recordings (or a directory of recordings); for learning the training directory; for balance_emergence,
        ei_versus_bn and systems also summaries of circuits (data/reference/*.nc).
    out : Path
        Result file, e.g. balance.nc.
    null : list[Path]
        Where the analysis compares with a null: null recordings of one kind, or a directory of them
        (eiplatform record --null), e.g. --null rec/untrained-*.
    surrogates : str
        For balance, instead of null recordings: shift-time:20, shuffle-neurons:20 or poisson:20.
    interval : str
        For balance: percentile (default) or bca.
    scheduler : str
        For balance: address of a dask.distributed scheduler, e.g. tcp://10.0.0.1:8786.
    statistics : list[str]
        Keys, where the analysis takes them (default: all that were recorded; systems: those of its scorecard).
    bootstrap : int
        Bootstrap draws (default: 1000).
    seed : int
        Of the bootstrap (default: 0).
    set_ : list[str]
        Further options of the analysis, e.g. --set bins=40.
    """
    from eiplatform.analyses import find_analysis
    from eiplatform.analyses.parts.running import arranged
    from eiplatform.files import claim_file
    from eiplatform.front.results import analyse

    claim_file(out, overwrite=overwrite, suffix=".nc")
    options = {
        **{"surrogates": surrogates, "method": interval, "scheduler": scheduler},
        **{"statistics": statistics, "n_bootstrap": bootstrap, "seed": seed},
        **assignments(set_),
    }
    chosen = find_analysis(name)
    return _finish(analyse(chosen, **arranged(chosen, inputs, null or (), partial=partial, **options)), out, json)


def compare(
    recording: Path,
    *,
    to: Annotated[list[Path], Many],
    out: Path,
    seeds: Annotated[bool, Flag] = False,
    margin: float = 0.5,
    only: Annotated[list[str] | None, Many] = None,
    partial: Partial = False,
    bootstrap: int = 1000,
    seed: int = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Compare every layer of a network with cortical circuits, or with other networks.

    Parameters
    ----------
    recording : Path
        Of a network that ran for some hundred steps (eiplatform record --steps 240), or a directory of
        recordings, its seeds.
    to : list[Path]
        Recordings of circuits or networks, directories of recordings, or names of shipped summaries
        (brunel-2000-C, potjans-diesmann-2014-10, ...); or measured cortex alone (mouse-v1-neuropixels).
    out : Path
        Result file, e.g. comparison.nc.
    seeds : bool
        The networks in --to are seeds of one: a single reference.
    margin : float
        Largest difference that counts as none, in units of the reference's spread over neurons.
    only : list[str]
        Keys of statistics (default: all).
    bootstrap : int
        Bootstrap draws.
    seed : int
        Of the bootstrap.
    """
    from eiplatform.files import claim_file
    from eiplatform.front.results import compare

    claim_file(out, overwrite=overwrite, suffix=".nc")
    options: dict[str, Any] = {"statistics": only, "margin": margin, "seeds": seeds, "partial": partial}
    return _finish(compare(recording, to, **options, n_bootstrap=bootstrap, seed=seed), out, json)


def figures(
    results: list[Path],
    *,
    out: Path | None = None,
    only: Annotated[list[str] | None, Many] = None,
    svg: Annotated[bool, Flag] = False,
    paper: Annotated[bool, Flag] = False,
    label: Annotated[list[str] | None, Many] = None,
    theme: str | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Draw figures from results: PNG, PDF, and the numbers drawn as CSV; each names its result and recordings.

    Parameters
    ----------
    results : list[Path]
        Result files made by analyse or compare, or the folder of a run (a study, the demo).
    out : Path
        Directory for the figures (default: figures, or paper, in the folder of the run).
    only : list[str]
        Names of figures (default: all that these results allow).
    svg : bool
        Write SVG too.
    paper : bool
        Write the figures of a paper: Figure 1 to 5, source data per panel, captions, methods, references.
    label : list[str]
        Names to put in the place of others, e.g. "fc1/E=Layer 1".
    theme : str
        paper (default) or slide, which is dark.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.front.results import figures

    folder = out or _beside(results, "paper" if paper else "figures")
    options: dict[str, Any] = {"only": only, "svg": svg, "paper": paper, "labels": _labels(label), "theme": theme}
    saved = figures(results, folder, overwrite=overwrite, **options)
    if json:
        print_json({figure.name: {"png": str(figure.png), "caption": figure.caption} for figure in saved})
    else:
        for figure in saved:
            say(f"{figure.png}\n  {figure.caption}")
        if paper:
            say(f"source data, captions.md, methods.md and references.bib: {folder}")
    return 0


def _beside(results: list[Path], name: str) -> Path:
    """Return the folder of a run in which figures lie by default."""
    if len(results) == 1 and results[0].is_dir():
        return results[0] / name
    raise ConfigError("no directory was given for the figures", where="--out", valid="a directory")


def _labels(given: list[str] | None) -> dict[str, str] | None:
    """Return the names that replace others, from NAME=LABEL."""
    for one in given or ():
        if "=" not in one:
            raise ConfigError(f"'{one}' names nothing", where="--label", valid="NAME=LABEL, e.g. fc1/E=Layer 1")
    return dict(one.split("=", 1) for one in given) if given else None


def report(
    results: list[Path],
    *,
    out: Path,
    title: str = "Excitation and inhibition",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write results, figures and provenance into one self-contained HTML file.

    Parameters
    ----------
    results : list[Path]
        Result files made by analyse or compare.
    out : Path
        HTML file; figures are drawn into the directory figures next to it.
    title : str
        Heading.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.front.results import write_all

    _, drawn = write_all(results, out, title=title, overwrite=overwrite)
    if json:
        print_json({"report": str(out), "figures": [figure.name for figure in drawn]})
    else:
        say(f"report: {out}")
    return 0


def _finish(result: Result, out: Path, json: bool) -> int:
    """Store a result and print its tables."""
    from eiplatform.cli.output import print_json, say

    result.save(out)
    tables = result.tables()
    if json:
        print_json({"out": str(out), "tables": [asdict(table) for table in tables]})
    else:
        _print_tables(tables)
        say(f"result: {out}")
    for part in result.data.attrs.get("partial", []):
        print(f"eiplatform: PARTIAL: {part}.", file=sys.stderr)  # noqa: T201
    return 3 if "partial" in result.data.attrs else 0


def _print_tables(tables: list[Table]) -> None:
    from eiplatform.cli.output import print_table, say

    for table in tables:
        print_table(table.title, table.columns, table.rows)
        if table.note:
            say(table.note)
        say("")
