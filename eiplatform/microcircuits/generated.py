"""What is changed in the C++ that Brian2 generates: inputs from files, the spike queue, results on disk.

Four things are exchanged, each found by its text, so that another version of Brian2 whose text
differs is refused and not miscompiled:

``main.cpp``
    reads synapses, values, seed and duration when it starts (:data:`READ_INPUTS`).
``synapses_classes.h``
    Brian2 keeps for every synapse its source, its delay (12 bytes) and its place in a list, and
    copies the place of each synapse through a queue whenever a spike travels.  Our synapses are
    sorted by source and delay, so those that a spike reaches at one moment are neighbours: the
    queue holds ranges, and nothing but the target and the weight is kept per synapse.
the recording of signals and spikes
    goes to files in blocks of :data:`BLOCK` rows and :data:`SPIKES` spikes, so that memory does not grow with time.
some twenty sources
    become one (:data:`PROGRAM_SOURCE`): reading the same headers again and again took three quarters of the
    time.  Every code object defines helpers in an unnamed namespace; these get names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from eiplatform.errors import DeviceError

__all__ = ["BLOCK", "PROGRAM_SOURCE", "PROGRESS", "READ_INPUTS", "SPIKES", "rewrite", "streamed"]

BLOCK = 512
"""Rows of recorded signals that are held in memory."""

SPIKES = 512
"""Spikes that are held in memory."""

PROGRAM_SOURCE = "program.cpp"
"""The one source that is compiled."""

PROGRESS = 'std::cout << "progress " << completed << std::endl;'

READ_INPUTS = r"""
auto _read_input = [](const std::string& name, auto* target, size_t count) {
    std::ifstream file("inputs/" + name, std::ios::binary | std::ios::ate);
    if (!file || static_cast<size_t>(file.tellg()) != count * sizeof(*target)) {
        std::cerr << "input '" << name << "' is missing or of the wrong size" << std::endl;
        std::exit(3);
    }
    file.seekg(0);
    file.read(reinterpret_cast<char*>(target), count * sizeof(*target));
};
auto _read_synapses = [&](const std::string& name, size_t n_source, SynapticPathway& pathway,
                          std::vector<int32_t>& post) {
    int32_t layout[2];  // shortest delay or -1, number of different delays
    _read_input(name + ".layout", layout, 2);
    std::vector<uint32_t> fanout(n_source * layout[1]);
    _read_input(name + ".fanout", fanout.data(), fanout.size());
    const size_t total = pathway.arrange(layout[0], layout[1], fanout);
    post.resize(total);
    _read_input(name + ".post", post.data(), total);
    return total;
};
double _run_settings[2];  // duration, recording interval (s)
uint32_t _run_seed;
_read_input("settings", _run_settings, 2);
_read_input("seed", &_run_seed, 1);
_random_generators[0].seed(_run_seed);
"""

_PATHWAY = r"""
struct SynapseRange { uint32_t first, stop; };

// Spikes on their way: for each coming step the ranges of synapses at which they arrive.
class SynapticPathway
{
    int spikes_start, spikes_stop, shortest = -1, n_delays = 1;
    size_t now = 0;
    std::vector<uint32_t> begin;  // first synapse of each source at each delay
    std::vector<std::vector<SynapseRange>> ring;
public:
    std::vector<int>& sources;
    SynapticPathway(std::vector<int>& _sources, int _spikes_start, int _spikes_stop)
        : spikes_start(_spikes_start), spikes_stop(_spikes_stop), sources(_sources) {}

    size_t arrange(int _shortest, int _n_delays, const std::vector<uint32_t>& fanout)
    {
        shortest = _shortest;
        n_delays = _n_delays;
        begin.assign(1, 0);
        begin.reserve(fanout.size() + 1);
        for (uint32_t count : fanout)
            begin.push_back(begin.back() + count);
        return begin.back();
    }

    template <typename scalar> void prepare(int, int, scalar* delays, int, int*, int, double dt)
    {
        if (shortest < 0)
            shortest = static_cast<int>(delays[0] / dt + 0.5);
        ring.assign(shortest + n_delays, {});
        now = 0;
    }

    void push(int* spikes, int count)
    {
        const int* const stop = std::lower_bound(spikes, spikes + count, spikes_stop);
        for (const int* spike = std::lower_bound(spikes, spikes + count, spikes_start); spike < stop; ++spike)
        {
            const uint32_t* const edge = &begin[static_cast<size_t>(*spike - spikes_start) * n_delays];
            size_t slot = (now + shortest) % ring.size();
            for (int delay = 0; delay < n_delays; ++delay)
            {
                if (edge[delay] < edge[delay + 1])
                    ring[slot].push_back({edge[delay], edge[delay + 1]});
                if (++slot == ring.size())
                    slot = 0;
            }
        }
    }

    const std::vector<SynapseRange>* peek() { return &ring[now]; }

    void advance()
    {
        ring[now].clear();
        now = (now + 1) % ring.size();
    }
};
"""

_CLASS = re.compile(r"class SynapticPathway\s*\{.*\n\};", re.DOTALL)
_PEEK = "std::vector<int> *_spiking_synapses ="
_LOOP = re.compile(
    r"for\(int _spiking_synapse_idx=0;\s*_spiking_synapse_idx<_num_spiking_synapses;\s*_spiking_synapse_idx\+\+\)"
    r"\s*\{\s*const size_t _idx = \(\*_spiking_synapses\)\[_spiking_synapse_idx\];"
)
_HELPERS = re.compile(r"^namespace \{", re.MULTILINE)
_USING = "using namespace brian;"
_RANGES = """for (const auto& _range : *_spiking_synapses)
        for (size_t _idx = _range.first; _idx < _range.stop; ++_idx)
        {"""


def _substitute(path: Path, old: str | re.Pattern[str], new: str) -> None:
    pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
    text, count = pattern.subn(lambda match: new, path.read_text())
    if count != 1:
        raise DeviceError(
            f"Brian2 {version('brian2')} generates other code than expected ('{pattern.pattern[:40]}' in {path.name})",
            remedy=("use a tested version of brian2 (constraints.txt)", 'choose device="numpy"'),
        )
    path.write_text(text)


def streamed(file: str) -> str:
    """Return the name of the file that takes the full blocks of what is recorded."""
    return f"{file}.blocks"


def rewrite(
    folder: Path,
    pathways: Iterable[str],
    signals: Iterable[tuple[str, str, str]],
    spikes: Iterable[tuple[str, str, str]],
) -> None:
    """Change the sources in `folder`.

    Parameters
    ----------
    folder : Path
    pathways : iterable of str
        Names of the synaptic pathways.
    signals : iterable of (str, str, str)
        Name of a state monitor, and array and file of one of its variables.
    spikes : iterable of (str, str, str)
        The same of a spike monitor.

    Raises
    ------
    DeviceError
        If the sources are not as expected.
    """
    _substitute(folder / "main.cpp", ".run(1.0, report_progress", ".run(_run_settings[0], report_progress")
    # Clocks of different step are taken as equal within 1e-14 s, which rounding exceeds after a minute.
    _substitute(folder / "network.cpp", "#define Clock_epsilon 1e-14", "#define Clock_epsilon 1e-9")
    _substitute(folder / "synapses_classes.h", _CLASS, _PATHWAY)
    for pathway in pathways:
        code = folder / "code_objects" / f"{pathway}_codeobject.cpp"
        _substitute(code, _PEEK, "const auto* _spiking_synapses =")
        _substitute(code, _LOOP, _RANGES)
    for monitor, parts in _writing(
        signals,
        """for (size_t row = 0; row < _new_size; row++)
                out.write(reinterpret_cast<char*>(&{array}(row, 0)), _num_indices * sizeof({array}(0, 0)));
            {array}.resize(0, _num_indices);""",
    ).items():
        old = f"_ptr_array_{monitor}_N[0] = _new_size;"
        block = f"{old}\n    if (_new_size == {BLOCK})\n    {{{parts}\n"
        new = f"{block}        _dynamic_array_{monitor}_t.clear();\n    }}"
        _substitute(folder / "code_objects" / f"{monitor}_codeobject.cpp", old, new)
    for monitor, parts in _writing(
        spikes,
        """out.write(reinterpret_cast<char*>(&{array}[0]), {array}.size() * sizeof({array}[0]));
            {array}.clear();""",
    ).items():
        old = f"_ptr_array_{monitor}_N[0] += _num_events;"
        new = f"{old}\n    if (_dynamic_array_{monitor}_i.size() >= {SPIKES})\n    {{{parts}\n    }}"
        _substitute(folder / "code_objects" / f"{monitor}_codeobject.cpp", old, new)
    _join(folder)


def _join(folder: Path) -> None:
    """Write the one source: code objects as they are, then what runs once (arrays, reading, the loop over steps)."""
    parts = []
    for path in sorted((folder / "code_objects").glob("*.cpp")):
        own = f"_of_{path.stem}"
        _substitute(path, _HELPERS, f"namespace {own} {{")
        parts.append(path.read_text().replace(_USING, f"{_USING} using namespace {own};"))
    parts.append('#pragma GCC optimize("O1")')  # the code objects above are what takes time in a run
    parts += [f'#include "{path.name}"' for path in sorted(folder.glob("*.cpp"))]
    (folder / PROGRAM_SOURCE).write_text("\n".join(parts) + "\n")


def _writing(recorded: Iterable[tuple[str, str, str]], how: str) -> dict[str, str]:
    """Return, for each monitor, the code that writes and empties its arrays."""
    found: dict[str, str] = {}
    for monitor, array, file in recorded:
        found[monitor] = (
            found.get(monitor, "")
            + f"""
        {{
            static std::ofstream out(results_dir + "{streamed(file)}", std::ios::binary);
            {how.format(array=array)}
            out.flush();
            if (!out) {{ std::cerr << "cannot write the recording: the disk is full?" << std::endl; std::exit(4); }}
        }}"""
        )
    return found
