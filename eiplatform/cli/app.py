"""The ``eiplatform`` command: its subcommands and its exit status.

0: done; 2: a mistake the user can mend (one line, no traceback); 3: a partial result was kept;
130: interrupted (Ctrl-C), 143: ended by SIGTERM, 129: by SIGHUP, all three with everything cleared away and
what was complete kept; anything else is our fault and shows a traceback.
"""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import App, CycloptsError, Group, UnusedCliTokensError

import eiplatform
from eiplatform.cli import catalogue, circuits, exchange, inspect, lesioning, networks, results, study
from eiplatform.ending import Terminated, orderly
from eiplatform.errors import EIPlatformError

__all__ = ["app", "main", "options_of"]

OPTIONAL = {"torch": "train", "safetensors": "train", "sklearn": "train", "brian2": "simulate"}
"""Packages that the core does without, and the extra that brings them."""

_NO_MEMORY = ("can't allocate memory", "out of memory")
"""What PyTorch says on the CPU and on a GPU."""

RENAMED = {"path": "--out", "nulls": "--null", "method": "--interval", "n_bootstrap": "--bootstrap"}
"""Options that stand for an argument of another name."""

app = App(
    name="eiplatform",
    help="Measure excitation-inhibition balance in trained spiking networks, and compare them with cortex.",
    version=eiplatform.__version__,
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()

COMMANDS: dict[str, tuple[tuple[Callable[..., int], str], ...]] = {
    "Networks": (
        (networks.train, "train digits-mlp --out runs/a/training --seed 2"),
        (networks.record, "record runs/a/training --out runs/a/noisy --steps 240 --warmup 40 --input bernoulli"),
        (
            lesioning.lesion,
            "lesion dose-response runs/a/training --out runs/a/study --samples 500",
        ),
        (exchange.import_, "import deepeisnn checkpoint/ --out network.safetensors"),
    ),
    "Cortex": ((circuits.simulate, "simulate brunel-2000 --out runs/a/brunel --set state=C --seeds 1 2 3"),),
    "Results": (
        (results.analyse, "analyse balance runs/a/trained --null runs/a/untrained --out balance.nc"),
        (results.compare, "compare runs/a/noisy --to runs/a/brunel mouse-v1 --out comparison.nc"),
        (results.figures, "figures balance.nc comparison.nc --out figures"),
        (results.report, "report balance.nc comparison.nc --out report.html"),
        (study.study, "study ei_versus_bn --dry-run"),
        (results.demo, "demo --out runs/demo"),
    ),
    "Files": (
        (inspect.info, "info runs/a/trained"),
        (inspect.validate, "validate runs/a/trained"),
        (inspect.pack, "pack runs/a/trained --out trained.h5"),
        (inspect.view, "view runs/demo"),
        (inspect.unpack, "unpack trained.h5 --out runs/a/trained"),
        (exchange.export, "export csv runs/a/noisy --out noisy.csv"),
    ),
    "Help": (
        (catalogue.list_, "list statistics"),
        (catalogue.describe, "describe ei_ratio"),
        (inspect.doctor, "doctor"),
    ),
}
"""All commands by group, each with an example."""

for number, (heading, commands) in enumerate(COMMANDS.items()):
    heading_group = Group(heading, sort_key=number)
    for command, example in commands:
        app.command(
            command,
            name=command.__name__.rstrip("_").replace("_", "-"),
            group=heading_group,
            help_epilogue=f"Example: eiplatform {example}",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    try:
        with orderly(), one_line_warnings():
            status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return status if isinstance(status, int) else 0
    except CycloptsError as error:
        command = " ".join(("eiplatform", *(error.command_chain or ())))
        what = " ".join(str(error).split())
        if isinstance(error, UnusedCliTokensError):
            what = f"these arguments have no option before them: {' '.join(error.unused_tokens or ())}."
        print(f"eiplatform: {what} See '{command} --help'.", file=sys.stderr)  # noqa: T201
        return 2
    except AssertionError as error:  # the parser's own, of values that it cannot place
        if "cyclopts" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        print("eiplatform: these arguments cannot be understood. See 'eiplatform --help'.", file=sys.stderr)  # noqa: T201
        return 2
    except EIPlatformError as error:
        print(f"eiplatform: {error.fitted(arguments_of(arguments))}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except ModuleNotFoundError as error:
        extra = OPTIONAL.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(  # noqa: T201
            f"eiplatform: this needs {error.name}, which is not installed. pip install 'eiplatform[{extra}]'.",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        remedy = " Free some space; what was completed is kept." if error.errno == errno.ENOSPC else ""
        print(f"eiplatform: {place}{error.strerror or error}.{remedy}", file=sys.stderr)  # noqa: T201
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _NO_MEMORY):
            raise
        print(  # noqa: T201
            "eiplatform: not enough memory. Choose a smaller batch or network, or fewer samples or neurons.",
            file=sys.stderr,
        )
        return 2
    except Terminated as asked:
        print(f"eiplatform: ended by {asked}.", file=sys.stderr)  # noqa: T201
        return 128 + asked.number
    except KeyboardInterrupt:
        print("eiplatform: interrupted.", file=sys.stderr)  # noqa: T201
        return 130


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print a warning of eiplatform as one line, like an error."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if category.__module__.startswith("eiplatform."):
            print(f"eiplatform: {message}", file=sys.stderr)  # noqa: T201
        else:
            before(message, category, *where, **more)

    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def arguments_of(arguments: Sequence[str] | None = None) -> dict[str, str]:
    """Return the options of the command that is called by `arguments`, by the argument in Python that each stands for.

    Examples
    --------
    >>> arguments_of(["simulate"])["overwrite"], arguments_of(["simulate"])["path"]
    ('--overwrite', '--out')
    """
    options = options_of(arguments)
    named = {option.lstrip("-").replace("-", "_"): option for option in options}
    return named | {argument: option for argument, option in RENAMED.items() if option in options}


def options_of(arguments: Sequence[str] | None = None) -> frozenset[str]:
    """Return the options of the command that is called by `arguments`; without a known one, none.

    Examples
    --------
    >>> "--resume" in options_of(["record"]), "--resume" in options_of(["simulate"])
    (True, False)
    """
    _, commands, _ = app.parse_commands(sys.argv[1:] if arguments is None else list(arguments))
    found = commands[-1].assemble_argument_collection() if len(commands) > 1 else ()
    return frozenset(name for argument in found for name in argument.names)


if __name__ == "__main__":
    sys.exit(main())
