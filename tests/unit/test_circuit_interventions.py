"""Interventions on circuits: the same values as on networks, what they change, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

import eiplatform as ei
from eiplatform.cli import main
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.interventions.intervention import intervention_from, kinds
from eiplatform.microcircuits import load, names, simulate
from eiplatform.microcircuits.changes import under
from eiplatform.microcircuits.protocols import plan
from eiplatform.recording.circuit import circuit_in_memory, record_circuit, record_protocol

TINY = {"n_exc": 80, "n_inh": 20, "c_exc": 8, "c_inh": 2}
SHORT = {"duration_ms": 40.0, "warmup_ms": 0.0, "n_recorded": 20, "device": "numpy"}


def no_rates(population: str) -> float:
    raise AssertionError(f"the intact circuit was simulated for {population}")


def changed(name: str, *interventions, **parameters):
    return under(load(name, parameters), interventions, no_rates)[0]


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("isn", "I->E", {"inh_to_exc": 0.8}),
        ("isn", "I->E+I", {"inh_to_exc": 0.8, "inh_to_inh": 0.8}),
        ("isn", "*->E", {"exc_to_exc": 0.8, "inh_to_exc": 0.8}),
        ("brunel-2000", "I->E+I", {"g": 4.0}),
        ("vogels-abbott-2005", "I->E", {"w_inh_to_exc": 53.6}),
        ("potjans-diesmann-2014", "I->E", {"inh_to_exc": 0.8}),
        ("potjans-diesmann-2014", "L4I->L4E", {"L4I->L4E": 0.8}),
        ("linear-isn", "I->E", {"w_inh_to_exc": 2.0}),
    ],
)
def test_scale_multiplies_the_strength_of_a_pathway(name, target, expected):
    before = load(name).to_mapping()
    after = changed(name, ei.Scale(target, 0.8)).to_mapping()
    assert {key: value for key, value in after.items() if value != before.get(key)} == pytest.approx(expected)


def test_a_lesion_of_a_circuit_is_what_the_protocol_makes():
    """The protocols make the same changes, and say them as values that can be read again."""
    for name in names():
        circuit = load(name)
        for pathway in circuit.pathways:
            for condition in plan("lesion", circuit, target=pathway).conditions:
                (said,) = condition.lesions
                one = intervention_from(said["spec"])
                assert isinstance(one, ei.Scale)
                after, (also,) = under(circuit, [one], no_rates)
                assert also == said
                assert after.to_mapping() == circuit.changed(condition.changes).to_mapping()
        for population in set(circuit.drives) & {"E", "I"}:
            control, *perturbed = plan(f"perturb-{population}", circuit).conditions
            assert control.lesions == ()
            for condition in perturbed:
                (said,) = condition.lesions
                after, (also,) = under(circuit, [intervention_from(said["spec"])], no_rates)
                assert also == said
                assert after.to_mapping() == circuit.changed(condition.changes).to_mapping()


def test_interventions_compose_and_one_of_them_may_strengthen():
    circuit, said = under(load("isn"), [ei.Scale("I->E", 0.5), ei.Scale("I->*", 1.5)], no_rates)
    assert (circuit.parameters.inh_to_exc, circuit.parameters.inh_to_inh) == (0.75, 1.5)
    assert [one["dose"] for one in said] == [0.5, -0.5]
    assert said[1]["parameters"] == {"inh_to_exc": [0.5, 0.75], "inh_to_inh": [1.0, 1.5]}


def test_single_pathways_of_the_microcircuit():
    circuit = changed("potjans-diesmann-2014", ei.Scale("L4I->*", 0.5), ei.Scale("L4I->L4E", 3.0), scale=0.02)
    intact = load("potjans-diesmann-2014", {"scale": 0.02})
    ratio = circuit.weight_factors / intact.weight_factors
    assert ratio[2, 3] == 1.5  # [target, source]
    assert set(ratio[[0, 1, 3, 4, 5, 6, 7], 3]) == {0.5}
    assert (np.delete(ratio, 3, axis=1) == 1).all()
    again = type(circuit).from_parameters(circuit.to_mapping())
    assert np.array_equal(again.weight_factors, circuit.weight_factors)
    assert circuit.value("L4I->L4E") == 1.5
    assert intact.to_mapping() == load("potjans-diesmann-2014", {"scale": 0.02}).to_mapping()
    assert not any("->" in name for name in intact.to_mapping())
    # All of I->E one by one is the factor that stands for all of it.
    every, together = (changed("potjans-diesmann-2014", ei.Scale(target, 0.8)) for target in ("*I->*E", "I->E"))
    assert np.allclose(every.weight_factors * every.counts, together.weight_factors * together.counts)


def test_stronger_weights_still_fit_into_sixteen_bits_and_intact_ones_are_as_before():
    intact, strong = (load("potjans-diesmann-2014", {"scale": 0.02, "inh_to_exc": f}) for f in (1.0, 3.0))
    weights = {}
    for label, circuit in (("intact", intact), ("strong", strong)):
        edges = dict(circuit.connectivity(1))["inh"]
        assert edges.values["w"].max() < np.iinfo(np.int16).max
        unit = circuit.scalars()["neurons.unit_inh"]
        weights[label] = float(edges.values["w"].mean() * unit)
    to_exc = np.abs(intact.weight_factors[::2, 1::2] * intact.counts[::2, 1::2]).sum()
    to_inh = np.abs(intact.weight_factors[1::2, 1::2] * intact.counts[1::2, 1::2]).sum()
    assert weights["strong"] / weights["intact"] == pytest.approx((3 * to_exc + to_inh) / (to_exc + to_inh), rel=2e-3)
    assert intact._units == (9101, 18203)


def test_i_to_e_scaled_to_zero_leaves_no_inhibition_in_e():
    tree = ei.simulate("isn", interventions=[ei.Scale("I->E", 0)], quiet=True, neurons=20,
                       **{k: v for k, v in SHORT.items() if k != "n_recorded"}, **TINY)  # fmt: skip
    exc, inh = tree["E"].ds, tree["I"].ds
    assert float(np.abs(exc["current_inh"]).max()) == 0
    assert np.array_equal(exc["current_net"], exc["current_exc"])
    assert float(inh["current_inh"].max()) > 0
    (said,) = tree.attrs["source"]["lesions"]
    assert (said["kind"], said["pathway"], said["dose"], said["parameters"]) == (
        "Scale", "I->E", 1.0, {"inh_to_exc": [1.0, 0.0]},
    )  # fmt: skip
    assert tree.attrs["config"]["inh_to_exc"] == 0


def test_dose_zero_changes_nothing_bit_for_bit_and_without_interventions_the_manifest_is_as_before():
    intact = circuit_in_memory("isn", parameters=TINY, **SHORT)
    same = circuit_in_memory("isn", parameters=TINY, interventions=[ei.Scale("I->E", 1)], **SHORT)
    for name in ("E", "I"):
        assert intact[name].to_dataset().drop_attrs().identical(same[name].to_dataset().drop_attrs())
    assert "lesions" not in intact.attrs["source"]
    assert same.attrs["source"]["lesions"][0]["dose"] == 0
    assert not {"silent_inh", "extra_inh", "extra_inh_part"} & set(intact.attrs["config"])


def test_silenced_cells_fire_and_nobody_receives_it():
    circuit = changed("isn", ei.Silence("I", fraction=0.25), **TINY)
    intact = load("isn", TINY)
    for name, edges in circuit.connectivity(3):
        before = dict(intact.connectivity(3))[name]
        kept = before.pre() >= (5 if name == "inh" else 0)
        assert np.array_equal(edges.pre(), before.pre()[kept])
        assert np.array_equal(edges.post, before.post[kept])
    assert changed("isn", ei.Silence("I")).parameters.inh_to_inh == 0
    assert circuit.theory() == {}


def test_a_part_of_the_inhibitory_cells_is_stimulated():
    circuit = changed("isn", ei.Add("I", 0.1, unit="mean", fraction=0.2), drive_inh=1.5, **TINY)
    mean = circuit.initial(1)["neurons.mean_ext"]
    unit = 20_000 * 1e-4
    assert mean[:80] == pytest.approx(unit)
    assert mean[80:84] == pytest.approx(1.65 * unit)
    assert mean[84:] == pytest.approx(1.5 * unit)
    whole = changed("isn", ei.Add("I", 0.1, unit="mean"), drive_inh=1.5, **TINY).initial(1)["neurons.mean_ext"]
    assert whole[80:] == pytest.approx(1.65 * unit)


def test_freezing_takes_the_rate_of_the_intact_circuit():
    strong = {**TINY, "ext_rate_hz": 60_000.0}
    intact = circuit_in_memory("isn", parameters=strong, **SHORT)
    rate = intact["E"].ds.sizes["spike"] / (80 * 0.04)
    tree = circuit_in_memory("isn", parameters=strong, interventions=[ei.Scale("I->E", 0.5), ei.Freeze("E")], **SHORT)
    assert tree.attrs["config"]["frozen_exc_rate_hz"] == pytest.approx(rate)
    assert [one["kind"] for one in tree.attrs["source"]["lesions"]] == ["Scale", "Freeze"]


@pytest.mark.parametrize(
    ("name", "intervention", "error", "field", "words"),
    [
        ("isn", ei.Scale("I->X", 0.5), UnknownNameError, "valid", "I->E"),
        ("isn", ei.Scale("I->E subtractive", 0.5), UnknownNameError, "valid", "I->I"),
        ("brunel-2000", ei.Scale("I->E", 0.5), UnknownNameError, "valid", "I->E+I"),
        ("potjans-diesmann-2014", ei.Scale("L4I->L5", 0.5), UnknownNameError, "valid", "I->E"),
        ("isn", ei.Scale("I->E", 0.5, steps=slice(2, 4)), ConfigError, "valid", "cython"),
        ("ssn", ei.Scale("I->E", 0.5, steps=slice(2, 4000)), ConfigError, "where", "steps"),
        ("isn", ei.Scale("I->E", 0.5, neurons=[1]), ConfigError, "valid", "all neurons"),
        ("isn", ei.Scale("I->E", 0.5, samples=[1]), ConfigError, "valid", "all seeds"),
        ("isn", ei.Scale("I->E", 0.5, fraction=0.5), ConfigError, "valid", "Silence"),
        ("isn", ei.Scale("I->E", 0.5, layers="fc1"), ConfigError, "remedy", "populations"),
        ("isn", ei.Add("I", 1.0), ConfigError, "valid", "unit='mean'"),
        ("potjans-diesmann-2014", ei.Add("I", 1.0, unit="mean"), ConfigError, "valid", "unit='current'"),
        ("potjans-diesmann-2014", ei.Add("I", 1.0, fraction=0.5), ConfigError, "valid", "all of the population"),
        ("isn", ei.Add("E+I", 0.1, unit="mean", fraction=0.5), ConfigError, "valid", "E, I"),
        ("isn", ei.Add("I", -2.0, unit="mean"), ConfigError, "where", "drive_inh"),
        ("brunel-2000", ei.Add("I", 1.0), UnknownNameError, "valid", "E+I"),
        ("vogels-abbott-2005", ei.Silence("I", fraction=0.2), ConfigError, "remedy", "Scale('I->*', 0.8)"),
        ("isn", ei.Silence("I", cuts="incoming"), ConfigError, "valid", "outgoing"),
        ("isn", ei.Freeze("I"), UnknownNameError, "valid", "E"),
        ("isn", ei.Freeze("I->E"), UnknownNameError, "valid", "E, I"),
        ("chance-2002", ei.Freeze("E"), ConfigError, "what", "cannot be frozen"),
        ("isn", ei.Mean("I->E"), ConfigError, "valid", "Scale"),
    ],
)
def test_what_a_circuit_cannot_do_is_refused_by_name(name, intervention, error, field, words):
    with pytest.raises(error) as caught:
        ei.simulate(name, interventions=[intervention], quiet=True)
    assert words in str(getattr(caught.value, field))


def test_a_pathway_of_strength_zero_cannot_be_lesioned():
    with pytest.raises(ConfigError, match="changes nothing"):
        changed("isn", ei.Scale("I->E", 0.5), inh_to_exc=0.0)
    with pytest.raises(ConfigError, match="is driven already"):
        changed("isn", *[ei.Add("I", 0.1, unit="mean", fraction=0.5)] * 2)
    with pytest.raises(ConfigError, match="is not an intervention"):
        under(load("isn"), [ei.Scale], no_rates)


def test_every_kind_says_whether_it_acts_on_circuits():
    able = {name for name, kind in kinds().items() if "on_circuit" in vars(kind)}
    assert able == {"Scale", "Add", "Silence", "Freeze"}


def test_the_command_line_takes_a_list_of_interventions(tmp_path, capsys):
    spec = tmp_path / "spec.yml"
    spec.write_text("- {kind: Scale, target: 'I->E', factor: 0.5}\n- {kind: Add, target: I, amount: 0.5}\n")
    out = tmp_path / "out"
    arguments = ["simulate", "linear-isn", "--out", str(out), "--duration-ms", "20", "--warmup-ms", "100"]
    assert main([*arguments, "--intervene", str(spec)]) == 0
    said = ei.open(out).attrs["source"]["lesions"]
    assert [one["spec"] for one in said] == [
        {"kind": "Scale", "target": "I->E", "factor": 0.5},
        {"kind": "Add", "target": "I", "amount": 0.5},
    ]
    for text, words in (("kind: Scale", "no list"), ("[]", "no list"), ("[{kind: Scael}]", "Scale"),
                        ("[{kind: Scale, target: 'I->X', factor: 0.5}]", "I->E")):  # fmt: skip
        spec.write_text(text)
        assert main([*arguments, "--overwrite", "--intervene", str(spec)]) == 2
        assert words in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--intervene", str(spec), "--protocol", "spontaneous"]) == 2


def test_the_recordings_of_a_protocol_say_what_was_done(tmp_path):
    record_protocol("linear-isn", tmp_path / "out", "perturb-I", levels=[0.5], freeze="E", seeds=(1,),
                    duration_ms=20.0, warmup_ms=2000.0)  # fmt: skip
    found = {place.name: ei.open(place).attrs["source"] for place in (tmp_path / "out").iterdir() if place.is_dir()}
    said = {name: [one["spec"] for one in source.get("lesions", [])] for name, source in found.items()}
    add, freeze = {"kind": "Add", "target": "I", "amount": 0.5}, {"kind": "Freeze", "target": "E"}
    assert said == {
        "drive_inh=0.3": [], "drive_inh=0.8": [add], "E-frozen,drive_inh=0.3": [freeze],
        "E-frozen,drive_inh=0.8": [add, freeze],
    }  # fmt: skip


def test_a_circuit_changes_in_a_window_of_steps_and_comes_back():
    parameters = {"w_exc_to_exc": 0.5}
    options = {"parameters": parameters, "duration_ms": 600.0, "warmup_ms": 1000.0}
    circuit = load("linear-isn", parameters)
    whole = circuit_in_memory("linear-isn", interventions=[ei.Scale("I->E", 0.8)], **options)
    intact = circuit_in_memory("linear-isn", **options)
    window = circuit_in_memory("linear-isn", interventions=[ei.Scale("I->E", 0.8, steps=slice(100, 400))], **options)
    rates = [tree["E"].ds["activity"].values[0, :, 0] for tree in (intact, whole, window)]
    np.testing.assert_allclose(rates[2][:101], rates[0][:101], rtol=1e-6)
    assert rates[2][399] == pytest.approx(rates[1][-1], rel=1e-4) != pytest.approx(rates[0][-1], rel=1e-2)
    assert rates[2][-1] == pytest.approx(rates[0][-1], rel=1e-4)
    # The linear solution on the way: deviations decay with the matrix exponential of the lesioned network.
    tau = np.array([circuit.parameters.tau_exc_ms, circuit.parameters.tau_inh_ms])
    weights = load("linear-isn", {**parameters, "w_inh_to_exc": 0.8 * circuit.parameters.w_inh_to_exc}).weights
    matrix = (weights - np.eye(2)) / tau[:, None]
    end = [whole[name].ds["activity"].values[0, -1, 0] for name in "EI"]
    start = [intact[name].ds["activity"].values[0, -1, 0] for name in "EI"]
    expected = end + expm(20.0 * matrix) @ (np.array(start) - end)
    assert rates[2][120] == pytest.approx(expected[0], rel=1e-4)
    (said,) = window.attrs["source"]["lesions"]
    assert said["spec"]["steps"] == [100, 400] and window.attrs["config"] == intact.attrs["config"]


def test_a_spiking_circuit_is_the_intact_one_up_to_the_onset():
    options = {**SHORT, "parameters": TINY, "warmup_ms": 5.0}
    intact = circuit_in_memory("isn", **options)
    cut, none = (
        circuit_in_memory("isn", interventions=[ei.Scale("I->E", factor, steps=slice(20, 30))], **options)
        for factor in (0.0, 1.0)
    )
    for name in ("E", "I"):
        assert intact[name].to_dataset().drop_attrs().identical(none[name].to_dataset().drop_attrs())
    inh, after = (tree["E"].ds["current_inh"].values[0] for tree in (intact, cut))
    assert np.array_equal(inh[:20], after[:20]) and not np.array_equal(inh[20:], after[20:])
    assert after[29].mean() < 0.4 * inh[29].mean() < 0.9 * after[39].mean()  # decays with tau_f, and comes back
    with pytest.raises(ConfigError, match="while the circuit runs"):
        circuit_in_memory("isn", interventions=[ei.Silence("I", fraction=0.5, steps=slice(20, 30))], **options)


def test_rate_circuits_are_recordings_like_others(tmp_path):
    path = record_circuit("ssn", tmp_path / "ssn", duration_ms=50.0, warmup_ms=500.0)
    tree = ei.open(path)
    assert float(tree["E"].ds["activity"][0, -1, 0]) == pytest.approx(8.454, abs=1e-3)
    exc, net = tree["E"].ds["current_exc"], tree["E"].ds["current_net"]
    assert float((net / exc)[0, -1, 0]) == pytest.approx(0.341, abs=1e-3)
    with pytest.raises(ConfigError, match="nothing in this circuit is random"):
        simulate("ssn", seeds=(1, 2))


@pytest.mark.parametrize(("w_exc", "returns"), [(0.5, True), (2.5, False)])
def test_frozen_inhibition_leaves_the_loop_of_excitation_alone(w_exc, returns):
    """With I held at its intact rate E comes back only if it is stable without inhibition: the ISN's definition."""
    parameters = {"w_exc_to_exc": w_exc, "drive_exc": 30.0 - 10 * (w_exc - 0.2), "drive_inh": 0.3}
    options = {"parameters": parameters, "duration_ms": 10.0, "warmup_ms": 3000.0}
    intact = circuit_in_memory("linear-isn", **options)
    frozen = circuit_in_memory("linear-isn", interventions=[ei.Freeze("I"), ei.Add("E", 0.5)], **options)
    rates = [float(tree["E"].ds["activity"][0, -1, 0]) for tree in (intact, frozen)]
    if returns:
        assert rates[1] - rates[0] == pytest.approx(0.5 / (1 - w_exc), rel=1e-3)
    else:
        assert rates[1] == 0 or rates[1] > 1e5
