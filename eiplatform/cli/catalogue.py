"""Commands that say what there is: ``list`` and ``describe``."""

from __future__ import annotations

from eiplatform.cli.options import Json

__all__ = ["describe", "list_"]


def list_(kind: str | None = None, *, json: Json = False) -> int:
    """List what there is, by kind: what ships, and what your project and installed packages add.

    Parameters
    ----------
    kind : str
        circuits, statistics, signals, analyses, figures, studies, configs, datasets, layers, neurons or interventions
        (default: the kinds).
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.front.catalogue import list as listed

    found = listed(kind)
    if json:
        print_json(found)
    else:
        say(repr(found))
    return 0


def describe(name: str, *, kind: str | None = None, json: Json = False) -> int:
    """Say what something is: question or formula, parameters with units and defaults, an example, the paper.

    Parameters
    ----------
    name : str
        Of a statistic, circuit, signal, analysis, figure, study, configuration, data set, layer, neuron model or
        intervention; or the path of a picture that eiplatform drew (PNG, PDF, SVG).
    kind : str
        Which of them, where two have the name.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.front.catalogue import describe as described

    found = described(name, kind)
    if json:
        print_json(found.as_dict())
    else:
        say(str(found))
    return 0
