"""Print what comes of every network of the zoo: ``python -m tests.zoo [PART OF A NAME ...]``."""

from __future__ import annotations

import sys

from tests.zoo.cases import CASES, load_all
from tests.zoo.judge import judge, tally


def main(parts: list[str]) -> int:
    """Judge the cases whose names contain one of the parts; return 1 if one is not as expected."""
    load_all()
    kinds = []
    bad = 0
    for name, case in CASES.items():
        if parts and not any(part in name for part in parts):
            continue
        outcome = judge(name)
        kinds.append(outcome.kind)
        as_expected = outcome.kind == case.expected and not outcome.touched
        bad += not as_expected
        if not as_expected:
            print(f"{name}\n  expected {case.expected}, observed {outcome.kind}: {outcome.why}")
            if outcome.touched:
                print(f"  changed in the module: {', '.join(outcome.touched)}")
    print(f"{tally(kinds)}; {bad} not as expected")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
