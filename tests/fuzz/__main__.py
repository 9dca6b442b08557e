"""Give many malformed inputs to the commands that read them, and print what must not happen and did."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path


def main() -> int:
    """Return 0 if nothing happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--light", action="store_true", help="only commands that are done in an instant")
    parser.add_argument("--show", action="store_true", help="print every input and its outcome")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        # Before anything heavy is imported, which reads these.
        os.environ |= {
            name: str(root / "home") for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
        }
        os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "EIPLATFORM_CACHE": str(root / "home")}
        from tests.fuzz.running import run

        numbers = range(chosen.first, chosen.first + chosen.inputs)
        verdicts = []
        for verdict in run(root, numbers, chosen.seed, light=chosen.light):
            verdicts.append(verdict)
            if verdict.faults or chosen.show:
                lines = verdict.output.strip().splitlines()
                ours = [
                    line.strip() for line in lines if line.strip().startswith('File "') and "site-packages" not in line
                ]
                last = [*ours[-2:], *lines[-1:]]
                print(f"{verdict.name}\n  {verdict.seconds:.2f} s {verdict.status} {verdict.faults} {last}", flush=True)  # noqa: T201
    faults = Counter(fault.partition(" /")[0] for verdict in verdicts for fault in verdict.faults)
    outcomes = Counter(verdict.status for verdict in verdicts)
    print(f"{len(verdicts)} inputs, by exit status: {dict(outcomes)}")  # noqa: T201
    print(
        f"longest {max(v.seconds for v in verdicts):.1f} s, most memory {max(v.memory for v in verdicts) / 1e6:.0f} MB"
    )  # noqa: T201
    print(f"what must not happen: {dict(faults) or 'nothing'}")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
