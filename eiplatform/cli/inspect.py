"""Commands that look: ``info``, ``validate``, ``doctor``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["doctor", "info", "validate"]


def info(recording: Path, *, partial: bool = False, json: bool = False) -> int:
    """Show what a recording holds: populations, signals, sizes, rates, where it came from.

    Parameters
    ----------
    recording : Path
        Recording directory.
    partial : bool
        Open what is complete of an interrupted or damaged recording (exit status 3).
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, print_table, say
    from eiplatform.store.info import describe

    told = describe(recording, partial=partial)
    if json:
        print_json(told)
        return 0 if told["complete"] else 3
    say(f"{told['path']}: {told['kind']} '{told['label']}', {'complete' if told['complete'] else 'PARTIAL'}")
    if told["problems"]:
        say(f"  {told['problems']}")
    say(
        f"  {told['n_samples']} samples, {told['bytes'] / 1e6:.1f} MB in {told['n_shards']} shards, "
        f"schema {told['schema_version']}, made {told['created']} by: {told['command']}"
    )
    rows = [
        [
            name,
            population["role"],
            f"{population['n_recorded']} of {population['n_neurons']}",
            f"{population['n_time']} x {population['dt']:g} {population['dt_units']}",
            population["rate"],
            ", ".join(population["signals"]),
        ]
        for name, population in told["populations"].items()
    ]
    print_table("Populations", ["population", "role", "neurons", "time", "mean rate", "signals"], rows)
    return 0 if told["complete"] else 3


def validate(recording: Path, *, json: bool = False) -> int:
    """Check a recording from its checksums to its sum rules.

    Parameters
    ----------
    recording : Path
        Recording directory.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.store.validate import validate as check

    result = check(recording)
    if json:
        print_json({"path": result.path, "sound": not result.problems, "checks": result.checks})
    else:
        say(f"{result.path}: {'sound' if not result.problems else 'NOT SOUND'}")
        for name, outcome in result.checks.items():
            say(f"  {name:<10} {outcome}")
    return 2 if result.problems else 0


def doctor(*, json: bool = False) -> int:
    """Tell what works here: packages, compiler, devices, caches, data sets.

    Parameters
    ----------
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, print_table
    from eiplatform.doctor import examine

    findings = examine()
    if json:
        print_json({finding.name: {"ok": finding.ok, "found": finding.found} for finding in findings})
    else:
        rows = [[f.name, "ok" if f.ok else "missing", f.found, "" if f.ok else f.remedy] for f in findings]
        print_table("eiplatform doctor", ["part", "state", "found", "remedy"], rows)
    return 0 if all(finding.ok or finding.optional for finding in findings) else 2
