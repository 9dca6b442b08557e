"""The report says first what came out, holds every number of its results, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from eiplatform.analyses import Result
from eiplatform.analyses.parts.headlines import Headline, ranked
from eiplatform.figures import find_figure, save
from eiplatform.report import findings_of, scorecard
from eiplatform.report.interactive import widget_of
from eiplatform.report.sections import colours_of, drawn, used_colours
from eiplatform.report.widgets import packed
from eiplatform.store.reader import open_recording
from tests.conftest import write_network
from tests.unit.figure_results import result_of
from tests.unit.pages import page_of, small_results


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(place: Path) -> dict[str, Result]:
    return small_results(place)


@pytest.fixture(scope="module")
def page(results: dict[str, Result], place: Path) -> str:
    return page_of(results, place / "report.html").read_text()


def test_the_page_holds_everything_and_is_small(page: str, results: dict[str, Result]) -> None:
    assert len(page) < 10e6
    assert "A &lt;title&gt;" in page and "A <title>" not in page
    for table in scorecard(results):
        assert table.title.replace("'", "&#39;").replace(">", "&gt;") in page
        for row in table.rows:
            assert row[0].split("\n")[0].replace("'", "&#39;").replace(">", "&gt;").replace("<", "&lt;") in page
    names = [name for result in results.values() for name in result.plots]
    assert len(names) >= 4 and page.count('<svg role="img"') == len(names) + 1  # and the one of the first screen
    assert len(re.findall(r"<figure[ >]", page)) == len(names) + 1
    assert all(find_figure(name).QUESTION in page for name in names)


def test_the_numbers_of_a_figure_can_be_copied_as_they_were_drawn(page: str, results: dict[str, Result]) -> None:
    for key, name in (("comparison", "forest"), ("lesions", "lesion_dose_response")):
        held = page.partition(f'<pre id="{key}-{name}-numbers" hidden>')[2].partition("</pre>")[0]
        table = find_figure(name).table(results[key].data)
        assert unescape(held) == table.to_csv(index=False)
        assert f'data-copy="{key}-{name}-numbers"' in page


def test_a_page_leaves_out_the_numbers_of_the_largest_figures_alone(
    results: dict[str, Result], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = sorted(len(find_figure(n).table(r.data).to_csv(index=False)) for r in results.values() for n in r.plots)
    monkeypatch.setattr("eiplatform.report.study.MOST_NUMBERS", sum(sizes[:-1]))
    page = page_of(results, place / "light.html").read_text()
    assert page.count('-numbers" hidden') == len(sizes) - 1


def test_the_contents_are_the_questions(page: str, results: dict[str, Result]) -> None:
    contents = page.partition("<nav")[2].partition("</nav>")[0]
    assert all(f'<a href="#{key}">{result.analysis.question}' in contents for key, result in results.items())


def test_nothing_of_the_page_is_elsewhere(page: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert set(re.findall(r"""https?://[^"'\s<)]+""", markup)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"""<(?:link|img|script|iframe)[^>]*(?:src|href)=["'](?!data:)""", page)
    assert re.findall(r'<a href="(figures/[a-z_]+\.csv)"', page)


def test_the_answer_comes_first_with_at_most_six_findings(page: str, results: dict[str, Result]) -> None:
    first, _, rest = page.partition("</section>")
    assert first.count("<h3>") == first.count('class="how"') + sum(not one.how for one in _first(results)) <= 6
    assert 'id="hero-figure"' in first and "<table" not in first
    texts = [one.text for one in _first(results)]
    assert all(re.sub(r"[<>&'].*", "", text) in first for text in texts)
    sections = re.findall(r'<section id="(\w+)"', rest)
    assert sections[:-2] == [name for name, _ in sorted(results.items(), key=lambda one: one[1].analysis.place)]
    for key in results:
        part = page.partition(f'<section id="{key}">')[2].partition("</section>")[0]
        table = part.find("<table")
        assert table < 0 or part.find("<svg", table) < 0  # figures before tables
        assert part.count("<table") == part.count('<table class="sortable"')


def _first(results: dict[str, Result]) -> list[Headline]:
    return ranked([one for result in results.values() for one in result.headlines()])


def test_the_first_screen_has_balance_null_cortex_and_limits_if_the_results_have() -> None:
    many = [Headline(str(k), "lesion", p=10.0 ** -(20 + k)) for k in range(9)]
    found = ranked([*many, Headline("b", "balance", p=1e-3), Headline("n", "null"), Headline("c", "cortex", p=1e-40)])
    assert [one.text for one in found] == ["c", "8", "7", "6", "b", "n"]
    assert ranked([Headline("x", "limit"), Headline("y", "task")])[-1].topic == "limit"
    assert len(ranked(many, most=3)) == 3 and ranked([]) == []


def test_the_surest_sentence_comes_first_whatever_its_effect_is_measured_in() -> None:
    cells = [(1e-3, 50.0), (1e-9, 2.0), (1e-9, -3.0), (np.nan, 90.0)]
    found = ranked([Headline(str(k), effect=effect, p=p) for k, (p, effect) in enumerate(cells)])
    assert [one.text for one in found] == ["2", "1", "0", "3"]


def test_headlines_carry_the_largest_effect_that_passes_the_test(results: dict[str, Result]) -> None:
    balance = results["balance"].data
    by_topic = {one.topic: one for one in results["balance"].headlines()}
    ratio = balance.sel(statistic="ei_ratio")
    clear = np.abs(ratio["z"].values[(ratio["q"] <= 0.05).values])
    assert by_topic["balance"].effect == (
        pytest.approx(clear.max()) if clear.size else pytest.approx(np.nan, nan_ok=True)
    )
    (cortex,) = results["comparison"].headlines()
    one = results["comparison"].data.isel(reference=0)
    verdicts = one["verdict"].values.astype(str)
    assert cortex.topic == "cortex" and cortex.text.startswith(f"{(verdicts == 'different').sum()} of ")
    sizes = np.abs(one["effect"].values[(one["q"] <= 0.05).values])
    assert cortex.effect == pytest.approx(sizes[np.isfinite(sizes)].max())
    assert cortex.p == one["q"].values[one["q"].values <= 0.05].min()
    tested = balance["q"].sel(statistic=["ei_ratio", "ei_correlation_samples"]).values
    sure = [one.p for one in results["balance"].headlines() if one.topic == "null"]
    assert np.nanmin(sure) == np.nanmin(tested) < 0.05
    assert all(np.isnan(one.p) for one in results["balance"].headlines() if "was found to differ" in one.text)
    assert by_topic["balance"].p < 0.05  # E/I is 2 by construction
    (lesion,) = results["lesions"].headlines()
    assert lesion.p == results["lesions"].data["accuracy_p_holm"].min() < 0.05


def test_what_is_not_compared_is_one_line_per_reason(page: str, results: dict[str, Result]) -> None:
    table = next(table for table in results["comparison"].tables() if "reason" in table.columns)
    reasons = {row[1] for row in table.rows}
    assert 1 < len(reasons) < len(table.rows)
    lines = re.findall(r'<details class="group"><summary>(.*?) <span class="n">(\d+)</span>', page)
    assert len(lines) == len(reasons) and sum(int(n) for _, n in lines) == len(table.rows)


def test_a_saved_drawing_is_taken_if_it_is_of_this_very_result(results: dict[str, Result], tmp_path: Path) -> None:
    saved = save("forest", results["comparison"], tmp_path, svg=True)
    file = saved.png.with_suffix(".svg")
    file.write_text(file.read_text().replace("</svg>", "<desc>saved</desc></svg>"))
    assert "saved" in drawn("forest", results["comparison"], "x", file=file)
    other = Result(results["comparison"].data.assign_attrs(margin=0.4))
    assert "saved" not in drawn("forest", other, "x", file=file)
    save("forest", results["comparison"], tmp_path, svg=True, theme="slide")
    assert drawn("forest", results["comparison"], "x", file=file) == drawn("forest", results["comparison"], "x")
    again = drawn("forest", results["comparison"], "x", file=tmp_path / "none.svg")
    assert "saved" not in again and again.startswith("<svg ")


def test_colours_follow_the_theme(page: str) -> None:
    hero = page.partition('id="hero-figure"')[2].partition("</svg>")[0]
    assert not set(re.findall(r"#[0-9a-f]{6}\b", hero)) & set(colours_of())
    named = set(re.findall(r"var\(--([0-9a-f]{6})\)", hero))
    assert named and all(len(re.findall(rf"--{name}: #", page)) == 2 for name in named)
    assert used_colours(["fill: var(--d55e00)"]) == {"d55e00": ("#D55E00", "#FF9248")}


def test_markers_say_their_values_to_a_pointer(results: dict[str, Result]) -> None:
    data = results["balance_across_depth"].data
    svg = drawn("balance_across_depth", results["balance_across_depth"], "x", statistics=["ei_ratio"])
    said = [
        re.search(r"(fc\d): ([\d.]+) \[([\d.]+), ([\d.]+)\]$", text)
        for text in re.findall(r"<title>(.*?)</title>", svg)
    ]
    found = {one[1]: [float(number) for number in one.groups()[1:]] for one in said if one}
    cells = data.sel(statistic="ei_ratio").isel(recording=0)
    for depth, name in enumerate(("fc1", "fc2")):
        numbers = [float(cells[end].isel(depth=depth)) for end in ("value", "low", "high")]
        assert found[name] == pytest.approx(numbers, rel=1e-2)


def test_a_figure_for_screen_readers_has_a_short_text_and_a_long_one(page: str) -> None:
    figures = re.findall(r'<svg role="img" aria-label="([^"]+)" aria-describedby="([^"]+)"', page)
    assert len(figures) == page.count('<svg role="img"')
    for alt, long in figures:
        assert 5 < len(alt.split()) < 60 and page.count(f'id="{long}"') == 1


def test_pickers_offer_what_was_recorded(results: dict[str, Result], place: Path) -> None:
    widget = widget_of("neuron_sample", results["neuron_sample"])
    assert widget is not None
    recorded = open_recording(place / "long")["fc2/E"].ds
    data = results["neuron_sample"].data
    rows = [f"{one}: {name}" for one, name in zip(data["recording"].values, data["population"].values, strict=True)]
    row = rows.index("long: fc2/E")
    for cell in range(3):
        sources = widget.frames[f"{row}|{cell}"].sources
        mine = recorded.isel(sample=0).sel(neuron=int(data["number"].values[row, cell]))
        for name in ("current_exc", "current_net", "gain", "voltage"):
            np.testing.assert_array_equal(np.float32(sources["trace"][name]), mine[name].values)
        np.testing.assert_array_equal(sources["trace"]["mirrored"], -mine["current_inh"].values)
        np.testing.assert_array_equal(sources["fired"]["time"], mine["time"].values[mine["spikes"].values])
    held = json.loads(widget.as_json())
    assert set(held["frames"]) == set(widget.frames) and "</" not in widget.as_json()
    assert len(held["options"]["neuron"][str(row)]) == 3


def test_the_neurons_kept_span_the_ranks_of_their_net_current(tmp_path: Path) -> None:
    tree = open_recording(write_network(tmp_path / "a", samples=4, steps=60))
    from eiplatform.analyses.neuron_sample import NeuronSample

    data = NeuronSample().run([tree], neurons=3, points=40, sample=1).data
    net = tree["fc1/E"].ds["current_net"].isel(sample=1, time=slice(40)).mean("time")
    order = net["neuron"].values[np.argsort(net.values, kind="stable")]
    kept = data["number"].sel(row=0).values.tolist()
    assert kept[0] == order[0] and kept[-1] == order[-1] and data.sizes["point"] == 40


def test_the_slider_goes_through_the_doses(results: dict[str, Result]) -> None:
    data, widget = results["lesions"].data, widget_of("lesions", results["lesions"])
    assert widget is not None
    place = data["statistic"].values.tolist().index("ei_ratio")
    for index, dose in enumerate(data["dose"].values):
        frame = widget.frames[f"{index}|{place}"]
        assert frame.sources["point"]["dose"] == [dose]
        assert frame.sources["point"]["accuracy"] == [100 * float(data["accuracy"].sel(dose=dose))]
        np.testing.assert_array_equal(
            frame.sources["values"]["value"], data["value"].sel(dose=dose, statistic="ei_ratio")
        )


def test_the_slider_goes_through_the_doses_of_a_lesion_study() -> None:
    data = result_of("lesion_study")
    widget = widget_of("study", Result(data))
    assert widget is not None and set(json.loads(widget.as_json())["frames"]) == set(widget.frames)
    where, doses = (control.options for control in widget.controls)
    rows = find_figure("lesion_study").table(data)
    rows = rows[rows["role"] == "lesion"]
    assert sum(map(len, doses.values())) == len(rows) == len(widget.frames)
    for index, place in enumerate(where):
        mine = rows[rows["panel"] == place].sort_values("dose")
        assert [name.partition(" %")[0] for name in doses[str(index)]] == [f"{100 * abs(d):g}" for d in mine["dose"]]
        for number, row in enumerate(mine.itertuples()):
            point = widget.frames[f"{index}|{number}"].sources["point"]
            assert point["dose"] == [row.dose] and point["accuracy"] == [pytest.approx(100 * row.value)]
    assert widget_of("shapley", Result(result_of("lesion_shapley"))) is None


def test_numbers_reach_the_page_as_they_are() -> None:
    sent = packed([1.5, np.nan, -2.0])
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(sent["f4"]), "<f4"), [1.5, np.nan, -2.0])
    assert packed(["fc1/E"]) == ["fc1/E"]


def test_findings_stay_in_the_order_of_the_report(results: dict[str, Result]) -> None:
    turned = dict(reversed(results.items()))
    assert findings_of(results) == findings_of(turned)


def test_a_notebook_shows_headlines_a_figure_and_folded_tables(results: dict[str, Result]) -> None:
    shown = results["balance"]._repr_html_()
    assert all(one.text.split("'")[0] in shown for one in results["balance"].headlines())
    assert shown.count('<svg role="img"') == 1 and "<details open" not in shown
    assert shown.count("<summary>") == len(results["balance"].tables()) + 1  # and the arrays
