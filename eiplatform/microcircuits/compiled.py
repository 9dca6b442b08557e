"""Stand-alone C++ programs of circuits: built once, kept by content hash, run with inputs from files.

Brian2 compiles connectivity, seed, duration and parameter values into the program it generates.
Here they become inputs: the generated ``main`` is extended by a few lines that read them from the
folder the program is started in.  A program therefore serves every seed, duration and parameter
value; it is never written to after it was built, and each run has a folder of its own, so any
number of runs may use it at the same time.

Layout of the cache (``$EIPLATFORM_CACHE``, else ``$XDG_CACHE_HOME/eiplatform``, else
``~/.cache/eiplatform``): ``circuits/<circuit>-<hash>/`` holds ``main``, ``static_arrays/`` and
``outputs.json``, which says where the program writes what.
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
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import DeviceError
from eiplatform.files import cache_directory
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.monitors import attach

__all__ = ["find_tools", "program", "run_program"]

# No -ffast-math when compiling: results would depend on how loops are vectorised and differ from
# the other devices.  At link time it only makes the program flush denormal numbers, without which
# a silent network is some 40 times slower (Brian2's own preference has no effect in this mode).
COMPILE_FLAGS = ("-w", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-std=c++17")
LINK_FLAGS = ("-ffast-math",)

_READ_INPUTS = r"""
auto _read_input = [](const std::string& name, auto* target, size_t count) {
    std::ifstream file("inputs/" + name, std::ios::binary | std::ios::ate);
    if (!file || static_cast<size_t>(file.tellg()) != count * sizeof(*target)) {
        std::cerr << "input '" << name << "' is missing or of the wrong size" << std::endl;
        std::exit(3);
    }
    file.seekg(0);
    file.read(reinterpret_cast<char*>(target), count * sizeof(*target));
};
auto _read_synapses = [&](const std::string& name, size_t n_source, int32_t offset,
                          std::vector<int32_t>& pre, std::vector<int32_t>& post) {
    std::vector<int32_t> degree(n_source);
    _read_input(name + ".degree", degree.data(), n_source);
    size_t total = 0;
    for (int32_t value : degree) total += value;
    pre.resize(total);
    post.resize(total);
    _read_input(name + ".post", post.data(), total);
    auto next = pre.begin();
    for (size_t source = 0; source < n_source; source++)
        next = std::fill_n(next, degree[source], offset + static_cast<int32_t>(source));
    return total;
};
double _run_settings[2];  // duration, recording interval (s)
uint32_t _run_seed;
_read_input("settings", _run_settings, 2);
_read_input("seed", &_run_seed, 1);
_random_generators[0].seed(_run_seed);
"""

_REPORT = 'std::cout << "progress " << completed << std::endl;'


def find_tools(device: str) -> dict[str, str]:
    """Return the paths of the compiler (and of make) that a device needs.

    Raises
    ------
    DeviceError
        If one is missing; there is no silent change to another device.
    """
    named = os.environ.get("CXX")
    wanted: dict[str, tuple[str, ...]] = {"compiler": (named,) if named else ("g++", "c++", "clang++")}
    if device == "cpp_standalone":
        wanted["make"] = ("make", "gmake")
    found = {tool: next(filter(None, map(shutil.which, names)), None) for tool, names in wanted.items()}
    if missing := [tool for tool, path in found.items() if path is None]:
        what = {"compiler": f"C++ compiler{f' (CXX={named})' if named else ''}", "make": "'make'"}
        raise DeviceError(
            f"device '{device}' needs a {' and '.join(what[tool] for tool in missing)}, and none is on the PATH",
            remedy="install one (Debian: apt install g++ make; conda: cxx-compiler make), or choose the slower "
            "--device numpy, which needs none",
        )
    return {tool: path for tool, path in found.items() if path is not None}


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
        "processor": [platform.platform(), _output_of(compiler, "-march=native", "-Q", "--help=target")],
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
    tools = find_tools("cpp_standalone")
    programs = cache_directory() / "circuits"
    folder = programs / f"{circuit.name}-{_content_hash(circuit, n_recorded, tools['compiler'])}"
    if folder.is_dir():
        return folder
    programs.mkdir(parents=True, exist_ok=True)
    with _locked(programs / f"{folder.name}.lock"):
        if not folder.is_dir():  # another process may have built it while this one waited
            report("build", 0.0)
            scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=programs))
            try:
                _generate(circuit, n_recorded, scratch)
                _compile(scratch, tools)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
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

    lines = [_READ_INPUTS]
    for name, synapses in model.synapses.items():
        v = synapses.variables
        pre, post = array(v["_synaptic_pre"]), array(v["_synaptic_post"])
        offset = int(v["_source_offset"].get_value())
        lines.append(f'{array(v["N"])}[0] = _read_synapses("{name}", {len(synapses.source)}, {offset}, {pre}, {post});')
        # Indices are inputs; writing them out again with the results would only cost time.
        device.insert_code("before_end", f"brian::{pre}.clear(); brian::{post}.clear();")
    for name, monitor in monitors.signals.items():
        lines.append(f'_read_input("{name}.recorded", {array(monitor.variables["_indices"])}, {n_recorded[name]});')
        lines.append(f"{array(monitor.clock.variables['dt'])}[0] = _run_settings[1];")
    for name, values in circuit.values(0).items():
        target = f"&{array(model.variable(name))}[0]"
        lines.append(f'_read_input("{name}", {target}, {values.size});')
    device.insert_code("main", "\n".join(lines))

    network = brian2.Network(*model.groups.values(), *model.synapses.values(), *monitors.all())
    network.run(1 * second, report=_REPORT, report_period=0.5 * second, namespace={})
    device.build(str(folder), compile=False, run=False, with_output=False)
    _substitute(folder / "main.cpp", ".run(1.0, report_progress", ".run(_run_settings[0], report_progress")
    # Clocks of different step are taken as equal within 1e-14 s, which rounding exceeds after a minute.
    _substitute(folder / "network.cpp", "#define Clock_epsilon 1e-14", "#define Clock_epsilon 1e-9")
    outputs = {
        key: {"file": device.get_array_filename(variable), "dtype": np.dtype(variable.dtype).str}
        for key, variable in monitors.variables().items()
    }
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1))


def _substitute(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise DeviceError(
            f"Brian2 {version('brian2')} generates other code than expected ('{old}' in {path.name})",
            remedy="use a tested version of brian2 (constraints.txt), or --device cython or numpy",
        )
    path.write_text(text.replace(old, new))


def _compile(folder: Path, tools: Mapping[str, str]) -> None:
    """Compile, then delete everything but the program and what it reads."""
    command = [tools["make"], f"-j{os.cpu_count() or 1}", f"CXX={tools['compiler']}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        tail = " | ".join(line for line in result.stderr.splitlines() if "error" in line.lower())[:500]
        raise DeviceError(
            f"the C++ compiler failed (status {result.returncode}): {tail or result.stderr[-500:]}",
            where=tools["compiler"],
            remedy="repair the compiler, or choose the slower --device numpy",
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
) -> dict[str, NDArray[Any]]:
    """Run a program in the folder `work` and return what it recorded.

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
        key: np.fromfile(work / "results" / spec["file"], dtype=np.dtype(spec["dtype"]))
        for key, spec in outputs.items()
    }
