"""What is drawn follows one grammar: colours, letters, sizes, legends, limits, and names."""

from __future__ import annotations

import io
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from eiplatform.figures import figure_names, find_figure
from eiplatform.figures.grammar import CONDITIONS, SIGNALS, THEMES, layer_colours, thinned
from tests.unit.figure_results import picture_of, result_of

# Machado, Oliveira & Fernandes 2009, IEEE Trans Vis Comput Graph 15:1291; severity 1.
BLINDNESS = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
IMAGES = Path(__file__).with_name("images")


def _linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _distance(first: str, second: str, kind: str) -> float:
    sight = np.array(BLINDNESS[kind])
    return float(np.linalg.norm(_lab(sight @ _linear(first)) - _lab(sight @ _linear(second))))


def _contrast(first: str, second: str) -> float:
    light = sorted(float(np.dot([0.2126, 0.7152, 0.0722], _linear(one))) for one in (first, second))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_stay_apart_for_all_eyes(theme: str, kind: str) -> None:
    palette = THEMES[theme]
    for group in (("exc", "inh", "net", "gain"), ("trained", "null", "exc", "inh"), ("first", "last", "exc", "inh")):
        for first, second in combinations(group, 2):
            assert _distance(palette[first], palette[second], kind) > 12, (first, second)


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_letters_stand_out_from_the_ground(theme: str) -> None:
    palette = THEMES[theme]
    assert all(_contrast(palette[name], palette["paper"]) > 4.5 for name in ("ink", "faint", "net"))
    assert all(_contrast(palette[name], palette["paper"]) > 3 for name in ("exc", "inh", "trained", "last"))


def test_every_colour_has_a_second_cue() -> None:
    lines = [str(signal.line) for name, signal in SIGNALS.items() if name != "current_net"]
    assert len(set(lines)) == len(lines)
    assert len({condition.marker for condition in CONDITIONS.values()}) == len(CONDITIONS)
    light = [_lab(_linear(colour))[0] for colour in layer_colours(6)]
    assert light == sorted(light, reverse=True) and light[0] - light[-1] > 40


def _drawn(name: str, **options: object) -> Figure:
    figure = find_figure(name).draw(result_of(name), **options)
    FigureCanvasAgg(figure).draw()
    return figure


def _allowed(theme: str = "paper") -> set[str]:
    ramps = {colour for n in range(1, 13) for colour in layer_colours(n)}
    return {colour.lower() for colour in THEMES[theme].values()} | ramps | {"#ffffff", "#000000"}


@pytest.mark.parametrize("name", figure_names())
def test_a_figure_follows_the_grammar(name: str) -> None:
    figure = _drawn(name)
    renderer = figure.canvas.get_renderer()
    used = set()
    for ax in figure.axes:
        for line in ax.lines:
            used |= {to_hex(line.get_color()), to_hex(line.get_markerfacecolor())}
        used |= {to_hex(patch.get_facecolor()) for patch in ax.patches if patch.get_facecolor()[3] > 0}
    assert used <= _allowed()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert {text.get_fontfamily()[0] for text in texts} == {"Arimo"}
    assert all(5 <= text.get_fontsize() <= 8 for text in texts)
    assert round(figure.get_figwidth() * 25.4) in (89, 120, 183) and figure.get_figheight() * 25.4 <= 247
    assert len(figure.legends) <= 1
    frames = [ax.get_window_extent(renderer) for ax in figure.axes if ax.axison]
    for legend in figure.legends:
        assert not any(legend.get_window_extent(renderer).overlaps(frame) for frame in frames)
    edge = figure.bbox.padded(2)
    ticks = {
        id(label)
        for ax in figure.axes
        for label in (*ax.get_xticklabels(which="both"), *ax.get_yticklabels(which="both"))
    }
    for text in (text for text in texts if id(text) not in ticks):  # ticks beyond the limits are not drawn
        extent = text.get_window_extent(renderer)
        assert edge.contains(extent.x0, extent.y0) and edge.contains(extent.x1, extent.y1), text.get_text()


@pytest.mark.parametrize("name", figure_names())
def test_files_keep_letters_as_letters(name: str) -> None:
    saved = picture_of(name)
    pdf = saved.pdf.read_bytes()
    fonts = set(re.findall(rb"/BaseFont /(?:[A-Z]{6}\+)?([\w-]+)", pdf))
    assert fonts and all(font.startswith(b"Arimo") for font in fonts) and b"/Type3" not in pdf
    svg = saved.png.with_suffix(".svg").read_text()
    assert "<text" in svg and "Arimo" in svg


def test_a_raster_is_pixels_in_a_vector_file() -> None:
    assert "<image" in picture_of("raster").png.with_suffix(".svg").read_text()


def test_excitation_and_inhibition_have_their_colours_and_units() -> None:
    figure = _drawn("current_traces")
    top = figure.axes[0]
    colours = {line.get_label(): to_hex(line.get_color()) for line in top.lines if not line.get_label().startswith("_")}
    assert colours["excitation"] == THEMES["paper"]["exc"].lower()
    assert colours["inhibition"] == THEMES["paper"]["inh"].lower()
    labels = {ax.get_ylabel() for ax in figure.axes}
    assert {"current", "current (mV)"} <= labels and "time (ms)" in {ax.get_xlabel() for ax in figure.axes}


def test_nothing_lies_outside_the_limits() -> None:
    for ax in _drawn("ei_scatter").axes:
        for line in ax.lines:
            x, y = (np.asarray(values, dtype=float) for values in line.get_data())
            inside = (
                (x >= ax.get_xlim()[0]) & (x <= ax.get_xlim()[1]) & (y >= ax.get_ylim()[0]) & (y <= ax.get_ylim()[1])
            )
            assert line.get_marker() == "None" or inside.all()


def test_names_and_theme_are_the_users() -> None:
    figure = _drawn("balance_across_layers", labels={"fc1/E": "Layer 1"}, theme="slide")
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks[:2] == ["Layer 1", "fc2"] and to_hex(figure.get_facecolor()) == THEMES["slide"]["paper"].lower()
    stream = io.BytesIO()
    figure.savefig(stream, format="pdf")  # later, outside the style
    assert b"Arimo" in stream.getvalue() and b"/Type3" not in stream.getvalue()


def test_thinning_keeps_the_extremes() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    kept = thinned(values, 50)
    assert len(kept) == 50 and kept[0] == values.min() and kept[-1] == values.max()


@pytest.mark.parametrize("name", ["schematic", "lesion_shapley", "paradoxical_response"])
def test_pictures_look_as_before(name: str, tmp_path: Path) -> None:
    figure = find_figure(name).draw(result_of(name))
    actual = tmp_path / f"{name}.png"
    figure.savefig(actual, dpi=80, metadata={"Software": None})
    assert compare_images(str(IMAGES / f"{name}.png"), str(actual), tol=6) is None
