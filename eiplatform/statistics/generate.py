"""Write what follows from the declarations: ``python -m eiplatform.statistics.generate [--check]``.

That is the stub ``eiplatform/statistics/__init__.pyi`` and the headers of the pages in ``docs/statistics``.  A test
fails when one of them is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eiplatform.statistics.pages import with_header
from eiplatform.statistics.stubs import own, stub

__all__ = ["main", "outdated"]

STUB = Path(__file__).with_name("__init__.pyi")
PAGES = Path(__file__).parents[2] / "docs" / "statistics"


def outdated() -> dict[Path, str]:
    """Return the files that are not what the declarations say, with the text that they should have."""
    wanted = {STUB: stub()}
    for cls in own():
        page = PAGES / f"{cls.name}.md"
        if PAGES.is_dir():
            wanted[page] = with_header(page.read_text(encoding="utf-8") if page.is_file() else "", cls)
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files that are out of date; with ``--check`` only say which (exit status 1)."""
    parser = argparse.ArgumentParser(
        prog="python -m eiplatform.statistics.generate", description="Write the stub and the headers of the pages."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is out of date")
    chosen = parser.parse_args(arguments)
    found = outdated()
    for path, text in found.items():
        sys.stderr.write(f"{'out of date' if chosen.check else 'written'}: {path}\n")
        if not chosen.check:
            path.write_text(text, encoding="utf-8")
    return int(chosen.check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
