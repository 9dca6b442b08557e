"""The ``eiplatform`` command: its subcommands and its exit status.

0: done; 2: a mistake the user can mend (one line, no traceback); 3: a partial result was kept;
130: interrupted (Ctrl-C), 143: ended by SIGTERM, 129: by SIGHUP, all three with everything cleared away and
what was complete kept; anything else is our fault and shows a traceback.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

import eiplatform
from eiplatform.cli import circuits, exchange, inspect, networks, results, study
from eiplatform.ending import Terminated, orderly
from eiplatform.errors import EIPlatformError

__all__ = ["app", "main", "options_of"]

OPTIONAL = {"torch": "train", "safetensors": "train", "sklearn": "train", "brian2": "simulate"}
"""Packages that the core does without, and the extra that brings them."""

_NO_MEMORY = ("can't allocate memory", "out of memory")
"""What PyTorch says on the CPU and on a GPU."""

app = App(
    name="eiplatform",
    help="Probe trained spiking networks for excitation-inhibition balance, and compare them with cortex.",
    version=eiplatform.__version__,
    suppress_keyboard_interrupt=False,
)
for command in (
    results.demo,
    networks.train,
    networks.record,
    circuits.simulate,
    results.analyse,
    results.compare,
    networks.lesion,
    results.figures,
    results.report,
    study.study,
    inspect.info,
    inspect.validate,
    inspect.pack,
    inspect.unpack,
    inspect.doctor,
    exchange.export,
):
    app.command(command)
app.command(exchange.import_, name="import")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    try:
        with orderly():
            status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return status if isinstance(status, int) else 0
    except CycloptsError as error:
        command = " ".join(("eiplatform", *(error.command_chain or ())))
        told = " ".join(str(error).split())
        if isinstance(error, UnusedCliTokensError):
            told = f"it is not said what these are: {' '.join(error.unused_tokens or ())}."
        print(f"eiplatform: {told} See '{command} --help'.", file=sys.stderr)  # noqa: T201
        return 2
    except AssertionError as error:  # the parser's own, of values that it cannot place
        if "cyclopts" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        print("eiplatform: these arguments cannot be understood. See 'eiplatform --help'.", file=sys.stderr)  # noqa: T201
        return 2
    except EIPlatformError as error:
        print(f"eiplatform: {error.fitted(options_of(arguments))}", file=sys.stderr)  # noqa: T201
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
        if isinstance(error, RuntimeError) and not any(told in str(error) for told in _NO_MEMORY):
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
