"""Say on the page of the two tables which rows they lack.

Usage: python benchmarks/inference_missing.py docs/validation-inference.md
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from inference_levels import SETTINGS, tested
from inference_models import MODELS

HEAD, NEXT = "## Not run\n", "## What falls short\n"
TOLD = "No number of this version is known for these. The commands above add them.\n"


def listed(title: str, wanted: list[str], held: list[str]) -> list[str]:
    """Return an entry of the list, or none where nothing lacks."""
    lacking = [f"`{key}`" for key in wanted if key not in held]
    if not lacking:
        return []
    told = "all" if len(lacking) == len(wanted) else ", ".join(lacking)
    entry = f"- {title}: {told}."
    return textwrap.wrap(entry, 130, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def main(page: Path) -> None:
    """Rewrite the section."""
    text = page.read_text()
    rows = [[cell.strip(" `") for cell in row.split("|")[1:3]] for row in text.split("\n") if row.startswith("| `")]
    lines = []
    for name, model in MODELS.items():
        held = [key for key, where in rows if where == name]
        lines += listed(f"Coverage, model {name}", list(model.statistics), held)
    for setting, title in SETTINGS.items():
        wanted = list(dict.fromkeys(key for model in MODELS.values() for key in tested(setting, model)))
        held = [key for key, where in rows if where == setting]
        lines += listed(f"Tests, {setting} ({title})", wanted, held)
    before, after = text.split(NEXT)
    page.write_text(before.split(HEAD)[0] + "\n".join([HEAD, TOLD, *lines, "", NEXT]) + after)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
