"""The report and the viewer in real headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eiplatform.viewer import Viewer
from tests.unit.pages import page_of, small_results

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (CHROMIUM=... names one)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

READY = "[...document.querySelectorAll('[data-widget]')].every(root => root.dataset.shown)"
CONTRAST = """() => {
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => part(Number(v)))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = getComputedStyle(one).backgroundColor;
      if (!/, 0\\)$|transparent/.test(found)) return found;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const one of document.querySelectorAll("h1,h2,h3,p,li,a,td,th,summary,button,label,figcaption,svg text,.chip")) {
    if (!one.getClientRects().length || !one.textContent.trim()) continue;
    const svg = one instanceof SVGElement, style = getComputedStyle(one), ink = svg ? style.fill : style.color;
    if (ink === "none") continue;
    const both = [light(ink), light(behind(svg ? one.ownerSVGElement : one))].sort((x, y) => y - x);
    found.push([(both[0] + 0.05) / (both[1] + 0.05), `${one.tagName}: ${one.textContent.trim().slice(0, 30)}`]);
  }
  return found.sort(([x], [y]) => x - y).slice(0, 3);
}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small run with its report."""
    place = tmp_path_factory.mktemp("run")
    page_of(small_results(place), place / "report.html")
    return place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def loaded(chromium: Any, run: Path) -> Iterator[tuple[Any, list[str]]]:
    """Open the report from disk, and collect what goes wrong."""
    page = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    wrong = _watched(page)
    page.goto((run / "report.html").as_uri())
    page.wait_for_function(READY)
    yield page, wrong
    page.close()


def _watched(page: Any, allowed: str = "file:") -> list[str]:
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith((allowed, "data:", "blob:")) else wrong.append(asked.url)
    )
    return wrong


def _shown(page: Any, widget: str, source: str, column: str) -> list[Any]:
    """Return what Bokeh draws in a widget."""
    script = """([widget, source, column]) => {
      const place = [...document.querySelectorAll("[data-widget]")].findIndex((root) => root.id === widget);
      return [...Bokeh.documents[place].get_model_by_name(source).data[column]];
    }"""
    return list(page.evaluate(script, [widget, source, column]))


def _choose(page: Any, control: str, value: str) -> None:
    """Set a control and wait until its widget shows the choice."""
    part = page.locator(f"#{control}")
    part.select_option(value) if part.evaluate("one => one.tagName") == "SELECT" else part.fill(value)
    page.wait_for_function(
        """id => { const one = document.getElementById(id), root = one.closest("[data-widget]");
        return root.dataset.shown === [...root.querySelectorAll("[data-control]")].map((c) => c.value).join("|"); }""",
        arg=control,
    )


def test_it_opens_from_disk_without_an_error_or_a_request(loaded: tuple[Any, list[str]]) -> None:
    page, wrong = loaded
    page.mouse.wheel(0, 4000)
    page.wait_for_function("scrollY > 1000")
    assert wrong == []
    assert page.evaluate("document.fonts.check('12px Arimo')")


def test_the_answer_is_above_the_fold(loaded: tuple[Any, list[str]]) -> None:
    page, _ = loaded
    page.wait_for_timeout(200)  # a wheel turns for a while
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    hero = page.locator("#hero-figure svg").bounding_box()
    assert 0 < hero["y"] and hero["y"] + hero["height"] < 800 and hero["width"] > 800
    heads = page.locator(".headlines li h3")
    assert 3 <= heads.count() <= 6
    assert all(heads.nth(k).bounding_box()["y"] < 800 for k in range(heads.count()))


def test_pickers_and_sliders_change_the_figure(loaded: tuple[Any, list[str]]) -> None:
    page, wrong = loaded
    name = "neuron_sample-neurons"
    seen = set()
    for population, neuron in (("0", "0"), ("0", "2"), ("1", "1")):
        _choose(page, f"{name}-population", population)
        _choose(page, f"{name}-neuron", neuron)
        label = page.locator(f"#{name}-neuron option:checked").inner_text()
        assert label in page.locator(f"#{name} .text").inner_text()
        seen.add(tuple(_shown(page, name, "trace", "current_exc")))
    assert len(seen) == 3 and all(len(values) == 120 for values in seen)
    dose = page.locator("#lesions-doses-dose")
    before = _shown(page, "lesions-doses", "point", "accuracy")
    dose.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.getElementById('lesions-doses').dataset.shown.startsWith('1')")
    assert (
        _shown(page, "lesions-doses", "point", "dose") == [0.5]
        and _shown(page, "lesions-doses", "point", "accuracy") < before
    )
    assert dose.get_attribute("aria-valuetext") == "50 % removed"
    assert "50 % removed" in page.locator("#lesions-doses .text").inner_text()
    assert wrong == []


def test_values_show_on_hovering(loaded: tuple[Any, list[str]]) -> None:
    page, _ = loaded
    plot = page.locator("#neuron_sample-neurons .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    for step in range(3):
        page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + 120)
    shown = page.locator(".bk-tooltip-row-value").first
    shown.wait_for(timeout=5000)
    assert re.search(r"\d", shown.inner_text())
    assert page.locator(".bk-tooltip-row-label").all_inner_texts() == ["time:", "E:", "I:", "net:", "gain:"]


def test_tables_open_and_sort(loaded: tuple[Any, list[str]]) -> None:
    page, _ = loaded
    page.locator("#unfold").click()
    table = page.locator("#balance-table-1")
    first = lambda: table.locator("tbody tr td:nth-child(2)").all_inner_texts()  # noqa: E731
    head = table.locator("th button").nth(1)
    head.click()
    values = [_number(text) for text in first()]
    numbers = [value for value in values if value is not None]
    assert len(numbers) > 5 and numbers == sorted(numbers) and values[: len(numbers)] == numbers
    head.press("Enter")
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "descending"
    assert [value for text in first() if (value := _number(text)) is not None] == numbers[::-1]
    assert page.locator("#comparison .chip.different").first.is_visible()
    page.locator("#unfold").click()
    assert not table.is_visible()


def _number(text: str) -> float | None:
    found = re.match(r"-?[\d.]+(?:e[-+]?\d+)?", text.replace("−", "-").strip())
    return float(found[0]) if found else None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_readable(loaded: tuple[Any, list[str]], theme: str) -> None:
    page, _ = loaded
    if page.evaluate("document.documentElement.dataset.theme") != theme:
        page.locator("#theme").click()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[theme]
    worst = page.evaluate(CONTRAST)
    assert worst[0][0] >= 4.5, worst
    axis = page.evaluate(
        "[...Bokeh.documents[0]._all_models.values()].find((one) => one.type === 'LinearAxis').major_label_text_color"
    )
    assert axis.lower() == {"light": "#262626", "dark": "#e6e6e6"}[theme]


def test_a_telephone_shows_all_of_it(chromium: Any, run: Path) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    wrong = _watched(page)
    page.goto((run / "report.html").as_uri())
    page.wait_for_function(READY)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("nav summary").click()
    page.locator("#unfold").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.scrollWidth") <= 390
    assert page.locator("#hero-figure svg").bounding_box()["y"] < 844
    assert wrong == []
    page.close()


def test_everything_can_be_reached_by_keyboard(loaded: tuple[Any, list[str]]) -> None:
    page, _ = loaded
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, a, select, input, [tabindex='0']")].filter((one) =>
        !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length)).map((one) => one.id)"""
    )
    assert unnamed == []
    assert page.evaluate("[...document.querySelectorAll('nav a')].every((a) => document.querySelector(a.hash))")


def test_the_viewer_reads_what_is_chosen(chromium: Any, run: Path) -> None:
    viewer = Viewer(run / "long")
    thread = threading.Thread(target=viewer.serve, daemon=True)
    thread.start()
    try:
        page = chromium.new_page(bypass_csp=True)  # the driver itself needs eval
        wrong = _watched(page, viewer.address)
        page.goto(viewer.address)
        page.wait_for_function(READY)
        before = _shown(page, "neuron", "trace", "current_exc")
        _choose(page, "neuron-population", "1")
        _choose(page, "neuron-neuron", "3")
        assert "fc2/E, neuron 3" in page.locator("#neuron .text").inner_text()
        assert _shown(page, "neuron", "trace", "current_exc") != before
        assert wrong == []
        page.close()
        strict = chromium.new_page()
        wrong = _watched(strict, viewer.address)
        strict.goto(viewer.address)
        strict.locator("#raster .text", has_text="spikes").wait_for()
        assert wrong == []  # the policy of the page forbids nothing that it needs
        strict.close()
    finally:
        viewer.server.shutdown()
        thread.join()
