"""Every figure function on what breaks pictures: hostile names, nothing to show, equal values, hundreds of rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from llmrouterbench.metrics import calibrate
from llmrouterbench.reporting.board import Point
from llmrouterbench.reporting.exhibits.differences import differences_picture
from llmrouterbench.reporting.exhibits.figure03_domains import domains_picture
from llmrouterbench.reporting.exhibits.figure04_metrics import MetricRow, metrics_picture
from llmrouterbench.reporting.exhibits.figure05_hardness import hardness_picture
from llmrouterbench.reporting.exhibits.figure06_subsets import subsets_picture
from llmrouterbench.reporting.exhibits.figure07_savings import Saving, savings_picture
from llmrouterbench.reporting.exhibits.figure08_pareto import pareto_picture
from llmrouterbench.reporting.exhibits.figure09_latency import latency_picture
from llmrouterbench.reporting.exhibits.figure10_distribution import distribution_picture
from llmrouterbench.reporting.exhibits.heatmap import heatmap_picture
from llmrouterbench.reporting.figures.curves import Curve
from llmrouterbench.reporting.figures.learning import learning_picture
from llmrouterbench.reporting.figures.picture import LABEL, WIDTH, Picture, picture_files
from llmrouterbench.reporting.figures.reliability import reliability_picture
from llmrouterbench.stats import Interval

HOSTILE = [
    "<script>alert(1)</script>", "$x_{1}$ & \\frac{1}{2}", "_hidden", "\u202egnp.lmth", "نموذج اللغة", "模型",
    "a" * 200, "two\nlines\tand tab", "name", "model", "router", "simulated", "AvgAcc", '"quoted", comma', "=1+1",
]  # fmt: skip
NAN = float("nan")


def some(value: float) -> Interval:
    return Interval(value, value - 0.02, value + 0.02)


def metrics(names: list[str], acc: np.ndarray) -> Picture:
    rows = [MetricRow(n, some(a), some(a), some(a), some(a)) for n, a in zip(names, acc, strict=True)]
    return metrics_picture(rows, title="t", simulated=True)


def savings(names: list[str], acc: np.ndarray) -> Picture:
    rows = [Saving(n, some(a), some(-a), a + 0.1, NAN) for n, a in zip(names, acc, strict=True)]
    return savings_picture(rows, title="t", simulated=True)


def pareto(names: list[str], acc: np.ndarray) -> Picture:
    points = [Point(n, "model", 0, NAN, a, 1.0 + a, False) for n, a in zip(names, acc, strict=True)]
    points += [
        Point(n, "router", i, i / 2, a + i / 100, 1.0 + i, True)
        for n, a in zip(names, acc, strict=True)
        for i in range(2)
    ]
    return pareto_picture(points, base=names[0], title="t", simulated=True)


def hardness(names: list[str], acc: np.ndarray) -> Picture:
    curves = {name: Curve.plain(np.array([0.0, a, 1.0])) for name, a in zip(names, acc, strict=True)}
    return hardness_picture([0, 2, len(names)], [5, 10, 20], curves, title="t", simulated=True)


def heatmap(names: list[str], acc: np.ndarray) -> Picture:
    return heatmap_picture(names, names[:50], np.outer(acc, np.ones(len(names[:50]))), title="t", simulated=True)


def domains(names: list[str], acc: np.ndarray) -> Picture:
    return domains_picture(names, names[:50], np.outer(acc, np.ones(len(names[:50]))), title="t", simulated=True)


def distribution(names: list[str], acc: np.ndarray) -> Picture:
    share = np.full((len(names), len(names)), 1 / len(names))
    return distribution_picture(names, names, share, title="t", simulated=True)


def differences(names: list[str], acc: np.ndarray) -> Picture:
    difference = acc[:, None] - acc[None, :]
    return differences_picture(names, difference, np.where(difference == 0, 1.0, 0.001), title="t", simulated=True)


def subsets(names: list[str], acc: np.ndarray) -> Picture:
    curves = {name: Curve.plain(acc) for name in names[:3]}
    return subsets_picture(np.arange(1, len(names) + 1), curves, levels={names[3]: 0.5}, title="t", simulated=True)


def latency(names: list[str], acc: np.ndarray) -> Picture:
    seconds = np.where(np.arange(len(names)) % 3, 1.0 + acc, NAN)
    return latency_picture(names, acc, 1e-4 + acc, seconds, title="t", simulated=True)


def learning(names: list[str], acc: np.ndarray) -> Picture:
    curves = {name: Curve.plain(np.array([a, a])) for name, a in zip(names, acc, strict=True)}
    return learning_picture([50, 100], curves, levels={names[0]: 0.5}, title="t", simulated=True)


def reliability(names: list[str], acc: np.ndarray) -> Picture:
    curves = {name: calibrate([a, a], [0.0, 1.0]) for name, a in zip(names, acc, strict=True)}
    return reliability_picture(curves, title="t", simulated=True)


FIGURES = (
    metrics, savings, pareto, hardness, heatmap, domains, distribution, differences, subsets, latency, learning,
    reliability,
)  # fmt: skip
Draw = Callable[[list[str], np.ndarray], Picture]


def texts(picture: Picture) -> list[tuple[str, float, np.ndarray]]:
    """Every text that shows on a figure, its size in points, and its box in pixels (left, bottom, right, top)."""
    from matplotlib.text import Text

    picture.figure.draw_without_rendering()
    found, beyond = [], _ticks_beyond(picture)
    for text in picture.figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in beyond:
            box = text.get_window_extent()
            found.append((text.get_text(), float(text.get_fontsize()), np.array([box.x0, box.y0, box.x1, box.y1])))
    return found


def _ticks_beyond(picture: Picture) -> set[int]:
    """Labels of ticks beyond the limits of their axis: objects that nobody sees."""
    found = set()
    for axes in picture.figure.axes:
        for axis, (one, other) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(one, other) <= tick.get_loc() <= max(one, other):
                    found |= {id(tick.label1), id(tick.label2)}
    return found


def check(picture: Picture) -> None:
    """Nothing is cut off, nothing is too small to read, and SIMULATED is on the picture and in its numbers."""
    width, height = picture.figure.get_size_inches() * picture.figure.dpi
    assert width == WIDTH * picture.figure.dpi
    shown = texts(picture)
    for text, size, (left, bottom, right, top) in shown:
        assert size >= LABEL, text
        assert min(left, bottom) >= -1, f"cut off: {text!r}"
        assert max(right - width, top - height) <= 1, f"cut off: {text!r}"
    assert any(text.startswith("SIMULATED") for text, _, _ in shown)
    assert picture.data["simulated"].all()


@pytest.mark.parametrize("draw", FIGURES)
def test_hostile_names_are_drawn_as_they_are_and_nothing_is_cut_off(draw: Draw) -> None:
    picture = draw(HOSTILE, np.linspace(0.2, 0.9, len(HOSTILE)))
    check(picture)
    svg = picture_files(picture, "drawn")["drawn.svg"].decode()
    assert "<script" not in svg
    assert "\u202e" not in svg, "a name must not turn the direction of the text behind it"


@pytest.mark.parametrize("draw", FIGURES)
def test_all_values_equal(draw: Draw) -> None:
    check(draw(list("abcde"), np.full(5, 0.5)))
    check(draw(list("abcde"), np.zeros(5)))


@pytest.mark.slow
@pytest.mark.parametrize("draw", FIGURES)
def test_five_hundred_names_stay_a_picture_and_the_numbers_keep_all(draw: Draw) -> None:
    names = [f"provider/model-{i:03d}-instruct" for i in range(500)]
    picture = draw(names, np.linspace(0.2, 0.9, 500))
    check(picture)
    assert picture.figure.get_size_inches()[1] < 14
    assert len(picture.data) >= 500 or draw in (hardness, subsets)


@pytest.mark.parametrize("draw", FIGURES)
def test_equal_numbers_give_equal_files(draw: Draw, tmp_path: Path) -> None:
    names = list("abcde")
    first, second = (picture_files(draw(names, np.linspace(0.2, 0.9, 5)), "drawn") for _ in range(2))
    assert first == second
    assert {Path(name).suffix for name in first} == {".csv", ".svg", ".png"}


def test_nothing_to_draw_is_refused_in_one_sentence() -> None:
    refusals: tuple[Callable[[], Picture], ...] = (
        lambda: metrics_picture([]),
        lambda: savings_picture([]),
        lambda: pareto_picture([]),
        lambda: hardness_picture([0], [0.0], {}),
        lambda: heatmap_picture([], [], np.zeros((0, 0))),
        lambda: domains_picture(["a"], ["d"], np.zeros((2, 1))),
        lambda: distribution_picture(["a"], ["m"], np.zeros((1, 2))),
        lambda: differences_picture(["a"], np.zeros((2, 2)), np.zeros((2, 2))),
        lambda: subsets_picture([1], {}),
        lambda: latency_picture(["a"], [0.5], [1.0], [NAN]),
        lambda: learning_picture([0], {"a": Curve.plain(np.zeros(1))}),
        lambda: reliability_picture({}),
    )
    for refuse in refusals:
        with pytest.raises(ValueError, match="got|must") as said:
            refuse()
        assert "\n" not in str(said.value)


def test_a_difference_that_is_noise_has_no_number() -> None:
    names = ["a", "b", "c"]
    difference = np.array([[0.0, 0.05, 0.1], [-0.05, 0.0, 0.05], [-0.1, -0.05, 0.0]])
    adjusted = np.array([[1.0, 0.2, 0.01], [0.2, 1.0, 0.2], [0.01, 0.2, 1.0]])
    written = [text for text, _, _ in texts(differences_picture(names, difference, adjusted))]
    assert written.count("+10.0") == written.count("-10.0") == 1
    assert written.count("·") == 4
    assert not any("5.0" in text for text in written)


def test_the_number_of_a_saving_stands_clear_of_its_diamond() -> None:
    rows = [Saving("a", some(0.05), some(0.15), 0.06, 0.16), Saving("b", some(0.04), some(0.1), 0.05, 0.4)]
    picture = savings_picture(rows)
    picture.figure.draw_without_rendering()
    for axes in picture.figure.axes:
        (diamonds,) = (line for line in axes.lines if line.get_marker() == "D")
        for text in axes.texts:
            box = text.get_window_extent()
            for x, y in axes.transData.transform(np.array([diamonds.get_xdata(), diamonds.get_ydata()]).T).tolist():
                assert not (box.x0 - 3 < x < box.x1 + 3 and box.y0 < y < box.y1), text.get_text()
