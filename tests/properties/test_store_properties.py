"""Whatever is written in whatever shards is read back identically."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eiplatform
from eiplatform.store import RecordingWriter, population_dataset, validate
from eiplatform.store.chosen import plain
from tests.examples import examples

FINITE = st.floats(0, 1e6, width=32, allow_nan=False)


@st.composite
def populations(draw: st.DrawFn) -> xr.Dataset:
    """Draw a population with currents, bit-like spikes and events, of any small shape."""
    shape = tuple(draw(st.integers(1, 5)) for _ in range(3))
    exc, inh = (draw(hnp.arrays(np.float32, shape, elements=FINITE)) for _ in range(2))
    spikes = draw(hnp.arrays(np.bool_, shape))
    ids = draw(st.lists(st.integers(0, 10_000), min_size=shape[0], max_size=shape[0], unique=True))
    n_events = draw(st.integers(0, 6))
    events = {
        "spike_time": draw(hnp.arrays(np.float64, n_events, elements=st.floats(0, shape[1], exclude_max=True))),
        "spike_neuron": draw(hnp.arrays(np.int64, n_events, elements=st.integers(0, 9))),
        # spikes lie in the order of their samples, as shards are written
        "spike_sample": np.sort(np.array([ids[draw(st.integers(0, len(ids) - 1))] for _ in range(n_events)], np.int64)),
    }
    return population_dataset(
        {"current_exc": exc, "current_inh": inh, "current_net": exc - inh, "spikes": spikes},
        sample=np.array(ids),
        time=np.arange(shape[1]),
        neuron=np.arange(shape[2]),
        dt=1.0,
        time_units="step",
        current_units="1",
        n_neurons=10,
        role="E",
        events=events,
        sample_coords={"label": np.arange(shape[0])},
        attrs={"duration": float(shape[1])},
    )


@examples(12)
@given(populations(), st.data())
def test_round_trip_is_the_identity(data: xr.Dataset, choice: st.DataObject) -> None:
    cuts = choice.draw(st.sets(st.integers(1, max(1, data.sizes["sample"] - 1)), max_size=3))
    bounds = [0, *sorted(cut for cut in cuts if cut < data.sizes["sample"]), data.sizes["sample"]]
    written = []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "r"
        with RecordingWriter(path, source={"kind": "network", "name": "any"}, config={}) as writer:
            for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
                part = data.isel(sample=slice(start, stop))
                written.append(plain(part))
                writer.append({"deep/er/E": part})
        read = eiplatform.open(path)["deep/er/E"].to_dataset().load()
        assert validate(path).problems == []
    read, names = plain(read), plain(data).data_vars
    for name in names:
        expected = np.concatenate([part[name].values for part in written])
        np.testing.assert_array_equal(read[name].values, expected)
        assert read[name].dtype == data[name].dtype and read[name].attrs == names[name].attrs
    assert read["sample"].values.tolist() == data["sample"].values.tolist()
    assert read["label"].values.tolist() == data["label"].values.tolist()
