"""Stand-alone C++ programs of circuits: built once, kept by content hash, run with inputs from files.

Brian2 compiles connectivity, seed, duration and parameter values into the program it generates.
Here they become inputs: the generated ``main`` is extended by a few lines that read them from the
folder the program is started in.  A program therefore serves every seed, duration and parameter
value; it is never written to after it was built, and each run has a folder of its own, so any
number of runs may use it at the same time.

Layout of the cache (:func:`eiplatform.caches.cache_directory`): ``circuits/<circuit>-<hash>/`` holds ``main``,
``static_arrays/`` and ``outputs.json``, which says where the program writes what.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.caches import cache_directory
from eiplatform.errors import DeviceError
from eiplatform.locks import private_directory
from eiplatform.microcircuits.circuit import Circuit, Edges
from eiplatform.microcircuits.extraction import RawFile
from eiplatform.microcircuits.generated import PROGRAM_SOURCE, PROGRESS, READ_INPUTS, rewrite, streamed
from eiplatform.microcircuits.monitors import attach

__all__ = ["find_compiler", "program", "run_program", "write_edges"]

# No -ffast-math when compiling: results would depend on how loops are vectorised and differ from
# the other devices.  At link time it only makes the program flush denormal numbers, without which
# a silent network is some 40 times slower (Brian2's own preference has no effect in this mode).
COMPILE_FLAGS = ("-w", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-std=c++17")
LINK_FLAGS = ("-ffast-math",)


def find_compiler(device: str) -> str:
    """Return the path of the C++ compiler that a device needs: ``$CXX``, else the first that is installed.

    Raises
    ------
    DeviceError
        If it is missing; the device is never changed silently.
    """
    named = os.environ.get("CXX")
    found = next(filter(None, map(shutil.which, (named,) if named else ("g++", "c++", "clang++"))), None)
    if found is None:
        what = f"C++ compiler{f' (CXX={named})' if named else ''}"
        raise DeviceError(
            f"device '{device}' needs a {what}, and none is on the PATH",
            remedy=(
                "install one (Debian: apt install g++; conda: cxx-compiler)",
                'choose the slower device="numpy", which needs none',
            ),
        )
    return found


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _content_hash(circuit: Circuit, n_recorded: Mapping[str, int], compiler: str) -> str:
    """Hash of everything that decides the program: sources, sizes, Brian2, flags, compiler and processor."""
    module = sys.modules[type(circuit).__module__]
    files = {*Path(__file__).parent.glob("*.py"), Path(inspect.getfile(module))}
    content = {
        "sources": sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
        "structure": dict(circuit.structure()),
        "n_recorded": dict(n_recorded),
        "brian2": version("brian2"),
        "flags": [*COMPILE_FLAGS, *LINK_FLAGS],
        "compiler": _output_of(compiler, "--version"),
        "processor": [
            platform.machine(),
            *platform.libc_ver(),
            _output_of(compiler, "-march=native", "-Q", "--help=target"),
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock, which the system releases even if the process is killed."""
    import fcntl

    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def program(circuit: Circuit, n_recorded: Mapping[str, int], report: Callable[[str, float], None]) -> Path:
    """Return the folder of the circuit's program, building it first if there is none.

    Parameters
    ----------
    circuit : Circuit
    n_recorded : mapping of str to int
        Recorded neurons per Brian2 group.
    report : callable
        Takes a stage and its completed fraction.

    Raises
    ------
    DeviceError
        Without a compiler, or if it fails.
    """
    compiler = find_compiler("cpp_standalone")
    programs = cache_directory() / "circuits"
    folder = programs / f"{circuit.name}-{_content_hash(circuit, n_recorded, compiler)}"
    if folder.is_dir():
        return folder
    programs.mkdir(parents=True, exist_ok=True)
    with _locked(programs / f"{folder.name}.lock"):
        if not folder.is_dir():  # another process may have built it while this one waited
            report("build", 0.0)
            with private_directory(programs, f"{folder.name}.") as scratch:
                _generate(circuit, n_recorded, scratch / folder.name)
                _compile(scratch / folder.name, compiler)
                (scratch / folder.name).rename(folder)
    return folder


def _generate(circuit: Circuit, n_recorded: Mapping[str, int], folder: Path) -> None:
    """Let Brian2 write the sources, with inputs instead of values."""
    import brian2
    from brian2 import second

    brian2.prefs.reset_to_defaults()
    brian2.prefs["codegen.cpp.extra_compile_args_gcc"] = list(COMPILE_FLAGS)
    brian2.prefs["codegen.cpp.extra_link_args"] = list(LINK_FLAGS)
    brian2.set_device("cpp_standalone", build_on_run=False)
    device = brian2.get_device()
    model = circuit.build(circuit.structure())
    indices = {group: np.arange(count, dtype=np.int32) for group, count in n_recorded.items()}
    monitors = attach(model, circuit.signals, indices, record_dt_ms=1.0)
    for synapses in model.synapses.values():
        synapses.connect(i=[0], j=[0])  # stands in for the synapses that the program reads

    def array(variable: Any) -> str:
        return str(device.get_array_name(variable, access_data=False))

    lines = [READ_INPUTS]
    for name, synapses in model.synapses.items():
        v = synapses.variables
        post = array(v["_synaptic_post"])
        (pathway,) = synapses._pathways
        # Brian2's list of sources is not used (see generated.py) and stays as long as the stand-in.
        lines.append(f'{array(v["N"])}[0] = _read_synapses("{name}", {len(synapses.source)}, {pathway.name}, {post});')
        read = [array(v["_synaptic_pre"]), post]
        for value in synapse_variables(synapses):
            target = array(v[value])
            lines.append(f"{target}.resize({post}.size());")
            lines.append(f'_read_input("{name}.{value}", {target}.data(), {target}.size());')
            read.append(target)
        # They are inputs; writing them out again with the results would only cost time.
        device.insert_code("before_end", " ".join(f"brian::{target}.clear();" for target in read))
    for name, monitor in monitors.signals.items():
        lines.append(f'_read_input("{name}.recorded", {array(monitor.variables["_indices"])}, {n_recorded[name]});')
        lines.append(f"{array(monitor.clock.variables['dt'])}[0] = _run_settings[1];")
    for name, values in circuit.values(0).items():
        target = f"&{array(model.variable(name))}[0]"
        lines.append(f'_read_input("{name}", {target}, {values.size});')
    device.insert_code("main", "\n".join(lines))

    network = brian2.Network(*model.groups.values(), *model.synapses.values(), *monitors.all())
    network.run(1 * second, report=PROGRESS, report_period=0.5 * second, namespace={})
    device.build(str(folder), compile=False, run=False, with_output=False)
    rewrite(
        folder,
        [pathway.name for synapses in model.synapses.values() for pathway in synapses._pathways],
        [
            (f"{group}_signals", array(monitor.variables[name]), device.get_array_filename(monitor.variables[name]))
            for group, monitor in monitors.signals.items()
            for name in monitors.recorded
        ],
        [
            (f"{group}_spikes", array(monitor.variables[name]), device.get_array_filename(monitor.variables[name]))
            for group, monitor in monitors.spikes.items()
            for name in ("i", "t")
        ],
    )
    outputs = {
        key: {"file": device.get_array_filename(variable), "dtype": np.dtype(variable.dtype).str}
        for key, variable in monitors.variables().items()
    }
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1))


def synapse_variables(synapses: Any) -> list[str]:
    """Return the names of the variables per synapse that a circuit declares, such as weights."""
    return sorted(synapses.equations.parameter_names)


def write_edges(folder: Path, name: str, edges: Edges) -> None:
    """Write the synapses of one object as the program reads them.

    Parameters
    ----------
    folder : Path
        ``inputs`` of the run.
    name : str
        Of the Synapses object.
    edges : Edges
    """
    first, counts = edges.fanout()
    np.array([first, counts.shape[1]], np.int32).tofile(folder / f"{name}.layout")
    counts.tofile(folder / f"{name}.fanout")
    edges.post.tofile(folder / f"{name}.post")
    for value, array in edges.values.items():
        array.tofile(folder / f"{name}.{value}")


def _compile(folder: Path, compiler: str) -> None:
    """Compile, then delete everything but the program and what it reads."""
    command = [compiler, *COMPILE_FLAGS, "-I.", PROGRAM_SOURCE, "-o", "main", *LINK_FLAGS]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        tail = " | ".join(line for line in result.stderr.splitlines() if "error" in line.lower())[:500]
        raise DeviceError(
            f"the C++ compiler failed (status {result.returncode}): {tail or result.stderr[-500:]}",
            where=compiler,
            remedy=("repair the compiler", 'choose the slower device="numpy"'),
        )
    for path in folder.iterdir():
        if path.name in ("code_objects", "brianlib", "results"):
            shutil.rmtree(path)
        elif path.name not in ("main", "outputs.json", "static_arrays"):
            path.unlink()


def run_program(
    folder: Path,
    work: Path,
    *,
    inputs: Mapping[str, NDArray[Any]],
    report: Callable[[str, float], None],
) -> dict[str, RawFile]:
    """Run a program in the folder `work` and return the files of what it recorded.

    Parameters
    ----------
    folder : Path
        From :func:`program`.
    work : Path
        Folder of this run; synapses already stand in ``work/inputs``.
    inputs : mapping of str to array
        Further inputs, written to ``work/inputs``.
    report : callable
        Takes a stage and its completed fraction.

    Raises
    ------
    DeviceError
        If the program fails.
    """
    for name, values in inputs.items():
        values.tofile(work / "inputs" / name)
    (work / "static_arrays").symlink_to(folder / "static_arrays", target_is_directory=True)
    (work / "results").mkdir()
    command = [str(folder / "main"), "--results_dir", f"{work / 'results'}/"]
    other: list[str] = []
    with subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("progress "):
                report("simulate", float(line.split()[1]))
            else:
                other.append(line.strip())
    if process.returncode or other:
        raise DeviceError(
            f"the compiled circuit stopped with status {process.returncode}: {' | '.join(other)[-500:]}",
            where=str(folder),
            remedy="delete that folder to have it built again",
        )
    outputs = json.loads((folder / "outputs.json").read_text())
    return {
        key: RawFile(_output(work / "results", spec["file"]), np.dtype(spec["dtype"])) for key, spec in outputs.items()
    }


def _output(results: Path, file: str) -> Path:
    """Append what the program held at its end to the full blocks that it wrote before."""
    rest, blocks = results / file, results / streamed(file)
    with blocks.open("ab") as handle:
        handle.write(rest.read_bytes())
    rest.unlink()
    return blocks
