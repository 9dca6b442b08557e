"""How the options of every command are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["DataRoot", "Download", "Flag", "Json", "Many", "Overwrite", "Partial", "Set", "assignments"]


def _some(_: Any, values: Any) -> None:
    """Refuse an option without a value, which would else mean its default."""
    if values is not None and not values:
        raise ValueError("At least one value must follow.")


Many = Parameter(consume_multiple=True, negative=(), validator=_some)
"""Takes all values up to the next option."""
Flag = Parameter(negative=(), show_default=False)
"""Is there or not."""
Set = Parameter(name="--set", consume_multiple=True, negative=(), validator=_some)
"""Changes of a configuration, name=value."""


def _flag(words: str) -> Parameter:
    return Parameter(negative=(), show_default=False, help=words)


Json = Annotated[bool, _flag("Print JSON.")]
Overwrite = Annotated[bool, _flag("Replace or delete an earlier result of eiplatform there.")]
Partial = Annotated[bool, _flag("Take what is complete of interrupted or damaged recordings (exit status 3).")]
Download = Annotated[bool, _flag("Get files that are missing there from their source.")]
DataRoot = Annotated[Path | None, Parameter(help="Folder with the data sets' files.")]


def assignments(changes: Sequence[str] | None) -> dict[str, Any]:
    """Return the values of ``--set`` by key; they are read as YAML.

    Examples
    --------
    >>> assignments(["state=C", "scale=0.1"])
    {'state': 'C', 'scale': 0.1}
    """
    from eiplatform.config.reading import parse_assignment

    return dict(parse_assignment(change, where="--set") for change in changes or ())
