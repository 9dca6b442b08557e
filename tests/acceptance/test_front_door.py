"""The whole road in a notebook, as the README gives it: one import, at most 25 lines.

That ``mypy --strict`` accepts it is checked against the installed wheel by ``make test-minimal``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
(SCRIPT,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_the_script_is_short_and_shallow() -> None:
    lines = [line for line in SCRIPT.splitlines() if line.strip()]
    assert len(lines) <= 25 and [line for line in lines if "import" in line] == ["import eiplatform as ei"]


def test_a_notebook_goes_the_whole_road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(SCRIPT, "notebook", "exec"), names)
    import eiplatform as ei

    rec, hurt = names["rec"], names["hurt"]
    assert isinstance(rec, ei.Recording) and isinstance(hurt, ei.Recording)
    assert rec["fc1/E"].sizes["time"] == 100 and hurt.attrs["source"]["lesions"][1]["neurons"] == [3]
    assert float(hurt["fc1/E"].ds["spikes"].mean()) > float(rec["fc1/E"].ds["spikes"].mean())
    saved = ei.open("trained")
    assert saved["fc1/E"].ds["current_net"].equals(rec["fc1/E"].ds["current_net"])
    result = names["result"]
    assert isinstance(result, ei.Result) and result.data.sizes["reference"] == 5
    assert Path("report.html").read_text().count("<figure>") == len(result.plots)
