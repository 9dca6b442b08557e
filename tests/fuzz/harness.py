"""One input in a process of its own: limits, what it did, and whether that was allowed."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eiplatform.errors import EIPlatformError

__all__ = ["Verdict", "digest_of", "judge"]

SECONDS, BLOCKED, MEMORY = 10, 60, 2**30
"""Processor time of an input, time in all (the machine may be busy), and bytes."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PLACES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "shutil.rmtree": (0,),
}
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
_OWN_PROGRAMS = ("git",)
"""What eiplatform itself starts for the provenance of what it writes."""
_ENDS = {signal.SIGALRM: f"waited for {BLOCKED} s", signal.SIGXCPU: f"took more than {SECONDS} s"}


@dataclass
class Verdict:
    """What came of one input.

    Attributes
    ----------
    name : str
        Kind, change and command, and the number that makes it again.
    status : int
        Exit status of the command; negative: the signal that ended its process.
    faults : list of str
        What must not happen and did.
    output : str
        The end of what was printed.
    memory, seconds : float
        Growth of the resident memory in bytes; processor time.
    """

    name: str
    status: int
    faults: list[str] = field(default_factory=list)
    output: str = ""
    memory: float = 0.0
    seconds: float = 0.0


def digest_of(folder: Path) -> str:
    """Return a hash of all names and contents below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def judge(name: str, call: Callable[[], int], place: Path, outside: Path, secret: bytes) -> Verdict:
    """Run a command in a child process and say what it did.

    Parameters
    ----------
    name : str
    call : callable
        Gives the exit status, or raises.
    place : Path
        Working directory of the child, and the only one in which it may write.
    outside : Path
        Folder that must stay as it is.
    secret : bytes
        What the files of `outside` hold, and nothing that was printed or written may.
    """
    before = digest_of(outside)
    printed, told = place / "printed.txt", place / "told.json"
    gc.freeze()
    child = os.fork()
    if child == 0:
        _be_child(call, place, printed, told)
    _, state, usage = os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(state)
    text = printed.read_bytes().decode(errors="replace") if printed.exists() else ""
    facts = json.loads(told.read_text()) if told.exists() else {"faults": [], "memory": 0, "seconds": 0}
    verdict = Verdict(name, status, facts["faults"], text[-3000:], facts["memory"], facts["seconds"])
    if -status in _ENDS:
        verdict.faults.append(_ENDS[signal.Signals(-status)])
    elif status < 0:
        verdict.faults.append(f"crashed with signal {-status}")
    elif status not in (0, 2, 3):
        verdict.faults.append("traceback" if "Traceback" in text else f"exit status {status}")
    elif status == 2 and not _one_line(text):
        verdict.faults.append("more or less than one line")
    if "not enough memory" in text or facts["memory"] > MEMORY:
        verdict.faults.append("wants more than 1 GB")
    if digest_of(outside) != before or (place / "CODE_WAS_RUN").exists():
        verdict.faults.append("wrote outside, or ran code")
    if _shown(place, secret):
        verdict.faults.append("shows what another file holds")
    return verdict


def _one_line(text: str) -> bool:
    """Whether a mistake is told in one line (``validate`` prints its table instead)."""
    lines = [line for line in text.splitlines() if line.startswith("eiplatform: ")]
    return len(lines) == 1 or "NOT SOUND" in text or '"sound": false' in text


def _shown(place: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def _be_child(call: Callable[[], int], place: Path, printed: Path, told: Path) -> None:
    """Run the command under limits, write down what it did, and end the process."""
    faults: list[str] = []
    status = 1
    try:
        handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False, errors="replace")  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False, errors="replace")  # noqa: SIM115
        os.chdir(place)
        tempfile.tempdir = str(place)
        # The most that the process has held, from here on.
        Path("/proc/self/clear_refs").write_text("5")
        start, started = _held(), time.process_time()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY, MEMORY))
        sys.addaudithook(_hook(place.resolve(), faults))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        signal.alarm(BLOCKED)
        try:
            status = call()
        except EIPlatformError as error:
            print(f"eiplatform: {error}", file=sys.stderr)  # noqa: T201
            status = error.exit_code
        signal.alarm(0)
    except BaseException:
        signal.alarm(0)
        traceback.print_exc()
        status = 1
    facts = {"faults": faults, "memory": _held() - start, "seconds": time.process_time() - started}
    told.write_text(json.dumps(facts))
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(status)


def _hook(place: Path, faults: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    def inside(name: Any) -> bool:
        if isinstance(name, int):
            return True
        path = os.path.realpath(os.fsdecode(name))
        return path == "/dev/null" or Path(path).is_relative_to(place) or path.startswith("/proc/self/")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            if isinstance(arguments[2], int) and arguments[2] & _WRITES and not inside(arguments[0]):
                faults.append(f"opened {arguments[0]!s} to write")
        elif event in _PLACES:
            faults.extend(f"{event} {arguments[k]!s}" for k in _PLACES[event] if not inside(arguments[k]))
        elif event in _PROGRAMS:
            program = str(arguments[0] if arguments else "")
            if Path(program).name not in _OWN_PROGRAMS:
                faults.append(f"started {event} {arguments!s:.100}")

    return hook


def _held() -> int:
    """Return the most resident memory that this process has held, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0
