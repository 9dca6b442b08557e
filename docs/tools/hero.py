"""Draw the picture of the README from a run of ``eiplatform demo``: ``python docs/tools/hero.py runs/demo``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from eiplatform.analyses import load_result  # noqa: E402
from eiplatform.figures import find_figure  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FIGURE, STATISTICS = "balance_across_depth", ["ei_ratio", "ei_correlation_time", "rate"]


def draw(run: Path) -> Path:
    """Draw the main figure of the demo's report."""
    result = load_result(run / "results" / f"{FIGURE}.nc")
    figure = find_figure(FIGURE).draw(result.data.sel(statistic=STATISTICS))
    path = ROOT / "docs" / "images" / "demo.png"
    figure.savefig(path, dpi=220, facecolor="white")
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "runs" / "demo")))
