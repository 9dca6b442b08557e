"""Where the numbers of a CSV file came from: a JSON file beside it, as the W3C's "CSV on the Web" has it.

A comment inside would break every reader that does not expect one (pandas, Excel, R's ``read.csv``).  ``x.csv`` is
described by ``x.csv-metadata.json``, where programs that know the standard look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from eiplatform.files import write_json

__all__ = ["sidecar_of", "write_sidecar"]


def sidecar_of(table: Path) -> Path:
    """Return the file that describes a CSV file.

    Examples
    --------
    >>> sidecar_of(Path("rates.csv")).name
    'rates.csv-metadata.json'
    """
    return table.with_name(f"{table.name}-metadata.json")


def write_sidecar(table: Path, columns: Iterable[str], title: str, about: Mapping[str, str]) -> Path:
    """Write the file that says what a CSV file holds and what it was made from.

    Parameters
    ----------
    table : Path
        The CSV file.
    columns : iterable of str
        Its columns.
    title : str
    about : mapping of str to str
        As :func:`eiplatform.store.identity.origin`: ``result``, ``result_sha256``, ``recordings``, where they apply.
    """
    told = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": table.name,
        "dc:title": title,
        "dc:creator": "eiplatform",
        "dc:source": about.get("recordings", ""),
        "dc:identifier": f"sha256:{about['result_sha256']}" if "result_sha256" in about else "",
        "dc:subject": about.get("result", ""),
        "tableSchema": {"columns": [{"name": str(column), "titles": str(column)} for column in columns]},
    }
    write_json(sidecar_of(table), {key: value for key, value in told.items() if value})
    return sidecar_of(table)
