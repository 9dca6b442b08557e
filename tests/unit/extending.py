"""An empty project, and the templates of docs/extending copied into it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "extending"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, with the working directory in it."""
    (tmp_path / "eiplatform.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def template(page: str, project: Path) -> str:
    """Copy the template of a page into the project; return its name."""
    (text,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)
    place = re.match(r"# (\w+)/(\w+)\.py\n", text)
    assert place is not None
    (project / place[1]).mkdir()
    (project / place[1] / f"{place[2]}.py").write_text(text)
    return place[2]
