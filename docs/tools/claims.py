"""Claims as data: ``data/validation/*.json``, one file per subject, one record per claim.

``python docs/tools/claims.py`` prints the table of all; ``--repeat`` runs the commands of those under a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIELDS = ("claim", "target", "source", "value", "interval", "n", "command", "commit", "date", "machine", "pass")
"""Fields of a record; one that was not written down is null."""


def claims() -> list[dict[str, Any]]:
    """Return all records, each with its file as ``subject``."""
    found = []
    for path in sorted((ROOT / "data" / "validation").glob("*.json")):
        found += [{"subject": path.stem, **one} for one in json.loads(path.read_text(encoding="utf-8"))]
    return found


def page() -> str:
    """Return the page of all claims; what falls short is a row like any other."""
    records = claims()
    short = sum(not one["pass"] for one in records)
    parts = [
        f"# Claims\n\n{len(records)} claims with their targets; {short} fall short and stand among the others. "
        "The data: `data/validation/`. `make validation` repeats those that take under a minute.\n"
    ]
    for subject in dict.fromkeys(one["subject"] for one in records):
        head = ["claim", "target", "measured", "interval", "n", "holds", "how"]
        rows = [head, ["---"] * len(head)]
        for one in records:
            if one["subject"] == subject:
                cells = [one["claim"], one["target"], one["value"], one["interval"], one["n"]]
                shown = ["" if cell is None else str(cell) for cell in cells]
                rows.append([*shown, "yes" if one["pass"] else "**no**", f"`{one['command']}`"])
        lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        parts.append(f"## {subject.replace('-', ' ').capitalize()}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def repeat() -> int:
    """Run the quick commands, each once; return how many failed."""
    quick = dict.fromkeys(one["command"] for one in claims() if one.get("quick"))
    failed = 0
    for command in quick:
        done = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, check=False)  # noqa: S603
        failed += bool(done.returncode)
        print("holds" if not done.returncode else "FAILS", command)
    return failed


if __name__ == "__main__":
    if "--repeat" in sys.argv:
        sys.exit(bool(repeat()))
    print(page())
