"""Sessions in environments of their own: ``nox -s tests minimal lint docs bench``."""

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
nox.options.sessions = ["lint", "tests"]


def install(session: nox.Session, *extras: str) -> None:
    """Install the checkout; on Python 3.11 with the versions that were tested."""
    pinned = ["-c", "constraints.txt"] if session.python in (None, "3.11") and "newest" not in session.posargs else []
    session.install(*pinned, f".[{','.join(extras)}]" if extras else ".")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test; ``-- newest`` with the newest dependencies."""
    install(session, "dev")
    session.install("--no-deps", "-r", "tests/frameworks.txt")
    words = [word for word in session.posargs if word != "newest"]
    session.run("pytest", "-n", "2", "--dist", "worksteal", *words, env={"OMP_NUM_THREADS": "1"})


@nox.session(python="3.11")
def minimal(session: nox.Session) -> None:
    """Reading and analysing without torch and Brian2."""
    install(session)
    session.install("pytest")
    session.run("pytest", "-q", "tests/minimal")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style, spelling, types, sentences."""
    install(session, "dev", "docs")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("python", "docs/tools/prose.py")
    session.run("mypy")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The site, with warnings as errors."""
    install(session, "docs")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """The quick benchmark: start, statistics."""
    install(session, "all")
    session.run("python", "benchmarks/first_light.py")
