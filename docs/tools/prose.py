"""Check the guide: no clause over 35 words (a colon or semicolon ends one), no line over 120 characters.

``--wrap`` breaks paragraphs anew.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORDS, COLUMNS = 35, 120
CHAPTERS = ("Start", "Tutorials", "Guide", "Extending", "Project")
_APART = re.compile(r"^(\s*$|#|\||:::|```|    |>|<!--|---)")
_ITEM = re.compile(r"^\s*([-*]|\d+\.) ")
_END = re.compile(r"(?<=[.!?:;])[*_)\"]*\s+(?=[A-Z`*\[\"(])|(?<=[:;])\s")


def pages() -> list[Path]:
    """Return the pages of the guide: of the chapters that are read from beginning to end."""
    toc = yaml.safe_load((ROOT / "docs/_toc.yml").read_text(encoding="utf-8"))
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/index.md"]
    for part in toc["subtrees"]:
        for entry in part["entries"] if part["caption"] in CHAPTERS else ():
            found += sorted((ROOT / "docs").glob(f"{entry.get('file') or entry['glob']}.md"))
    return [page for page in found if "generated" not in page.parts]


def paragraphs(text: str) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the number of the first line, the lines, and whether they are prose."""
    block: list[str] = []
    start, fenced = 1, text.startswith("---\n")
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```") or (line == "---" and number > 1 and fenced)
        apart = fenced or fence or bool(_APART.match(line))
        if block and (apart or _ITEM.match(line)):
            yield start, block, True
            block = []
        if fence:
            fenced = not fenced
        if apart:
            yield number, [line], False
        else:
            start = start if block else number
            block.append(line)
    if block:
        yield start, block, True


def sentences(lines: list[str]) -> list[str]:
    """Return the sentences of a paragraph; what stands in brackets of a link is not read."""
    text = re.sub(r"\]\([^)]*\)", "]", " ".join(line.strip() for line in lines))
    return _END.split(text)


def faults(page: Path) -> Iterator[str]:
    """Yield what a page does that it should not."""
    where = page.relative_to(ROOT)
    for number, lines, prose in paragraphs(page.read_text(encoding="utf-8")):
        for more, line in enumerate(lines):
            if len(line) > COLUMNS and not line.lstrip().startswith("|"):
                yield f"{where}:{number + more}: {len(line)} characters"
        for sentence in sentences(lines) if prose else ():
            words = len(re.findall(r"\S*\w\S*", sentence))
            if words > WORDS:
                yield f"{where}:{number}: {words} words: {sentence[:80]} ..."


def wrap(page: Path) -> None:
    """Break the paragraphs of a page at 120 characters, where one is wider."""
    out: list[str] = []
    for _, lines, prose in paragraphs(page.read_text(encoding="utf-8")):
        if prose and max(map(len, lines)) > COLUMNS:
            item = _ITEM.match(lines[0])
            indent = " " * len(item[0]) if item else ""
            text = " ".join(line.strip() for line in lines)
            first = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
            rest = {"break_long_words": False, "break_on_hyphens": False}
            out += textwrap.wrap(text, COLUMNS, initial_indent=first, subsequent_indent=indent, **rest)  # type: ignore[arg-type]
        else:
            out += lines
    page.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--wrap" in sys.argv:
        for each in pages():
            wrap(each)
    found = [fault for each in pages() for fault in faults(each)]
    print(
        "\n".join(found) or f"{len(pages())} pages: no sentence over {WORDS} words, no line over {COLUMNS} characters"
    )
    sys.exit(bool(found))
