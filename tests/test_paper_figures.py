"""The paper's figures from the paper's numbers alone: the values are read back from the figure and from its files."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from test_metrics import cost_setting, needs_paper, printed, read_table

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from llmrouterbench.metrics import cost_save, pareto_frontier, perf_gain
from llmrouterbench.reporting.board import Point
from llmrouterbench.reporting.exhibits.figure04_metrics import metric_rows, metrics_picture
from llmrouterbench.reporting.exhibits.figure07_savings import Saving, savings_picture
from llmrouterbench.reporting.exhibits.figure08_pareto import pareto_picture
from llmrouterbench.reporting.figures.picture import Picture, save_picture
from llmrouterbench.stats import Interval
from llmrouterbench.table import FloatArray

NAN = float("nan")


def drawn(picture: Picture) -> list[str]:
    """Every text on a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in picture.figure.findobj(Text) if text.get_visible()]


def saved(picture: Picture, folder: Path) -> pl.DataFrame:
    """The numbers of a figure, read from the CSV beside it; SVG and PNG must be there and be what they say."""
    save_picture(picture, folder, "drawn")
    root = ElementTree.parse(folder / "drawn.svg").getroot()
    assert root.tag.endswith("svg")
    assert (folder / "drawn.png").read_bytes().startswith(b"\x89PNG")
    return pl.read_csv(folder / "drawn.csv")


@needs_paper
def test_figure_4_has_all_24_printed_values(tmp_path: Path) -> None:
    table = {
        name: np.array(row[:-1]) / 100 for name, row in read_table("table11_performance_accuracy_test.csv").items()
    }
    paper = read_table("figure04_performance_metrics.csv")
    rows = metric_rows(
        {name: table[name] for name in paper},
        random=table["Random Router"],
        base=table["Qwen3-8B"],
        oracle=table["Oracle"],
        references=["Dataset Oracle"],
    )
    picture = metrics_picture(rows, title="performance")
    texts = drawn(picture)
    found = {row["name"]: row for row in saved(picture, tmp_path).iter_rows(named=True)}
    assert set(found) == set(paper)
    columns = ("avg_acc_percent", "gain_r_percent", "gain_b_percent", "gap_o_percent")
    for name, values in paper.items():
        for column, value, digits in zip(columns, values, (2, 1, 1, 1), strict=True):
            assert printed(found[name][column], digits) == printed(value, digits), (name, column)
        for column, value, sign in zip(columns[1:], values[1:], ("+", "+", ""), strict=True):
            assert f"{value:{sign}.1f}" in texts, (name, column)
    assert [row["name"] for row in found.values() if row["reference"]] == ["Dataset Oracle"]


@needs_paper
def test_figure_7_has_the_printed_gains_and_savings(tmp_path: Path) -> None:
    routers, _, (base_acc, base_cost) = cost_setting()
    paper = read_table("figure07_figure08_cost_metrics.csv")
    saves = {name: cost_save(routers[name][:, 0], routers[name][:, 1], base_acc, base_cost) for name in paper}
    savings = [
        Saving(
            name,
            Interval(perf_gain(routers[name][:, 0], base_acc), NAN, NAN),
            None if np.isnan(saves[name]) else Interval(saves[name], NAN, NAN),
        )
        for name in paper
    ]
    picture = savings_picture(savings, base="GPT-5", title="performance-cost")
    texts = drawn(picture)
    found = {row["name"]: row for row in saved(picture, tmp_path).iter_rows(named=True)}
    assert list(found) == sorted(paper, key=lambda name: -paper[name][0]), "the best PerfGain is on top"
    for name, (gain, save, _) in paper.items():
        assert printed(found[name]["perf_gain_percent"], 1) == printed(gain, 1), name
        assert f"{gain:+.1f}" in texts
        if np.isnan(save):
            assert found[name]["cost_save_percent"] is None, "a router that never reaches the base saves nothing"
        elif name == "Avengers-Pro":  # the paper's best of 101 points lies between two of the 21 printed ones
            assert 30.0 < found[name]["cost_save_percent"] <= save
        else:
            assert printed(found[name]["cost_save_percent"], 1) == printed(save, 1), name
            assert f"{save:+.1f}" in texts
    assert texts.count("none") == sum(bool(np.isnan(save)) for _, save, _ in paper.values()) == 3


def printed_points() -> tuple[list[Point], dict[str, FloatArray]]:
    """Every single model and operating point that the paper prints."""
    routers, everything, _ = cost_setting()
    models = everything[:13].tolist()
    names = list(read_table("table12_cost_setting_accuracy_test.csv"))[:13]
    frontier = {tuple(p) for p, on in zip(everything.tolist(), pareto_frontier(*everything.T), strict=True) if on}
    points = [
        Point(name, "model", 0, NAN, acc / 100, cost, (acc, cost) in frontier)
        for name, (acc, cost) in zip(names, models, strict=True)
    ]
    points += [
        Point(name, "router", i, NAN, acc / 100, cost, (acc, cost) in frontier)
        for name, sweep in routers.items()
        for i, (acc, cost) in enumerate(sweep.tolist())
    ]
    return points, routers


@needs_paper
def test_figure_8_has_the_pareto_dist_of_the_printed_points(tmp_path: Path) -> None:
    points, routers = printed_points()
    picture = pareto_picture(points, base="GPT-5", title="performance-cost")
    table = saved(picture, tmp_path)
    dist = dict(zip(table["name"], table["pareto_dist"], strict=True))
    of_the_paper = read_table("figure07_figure08_cost_metrics.csv")
    for name in routers:
        assert any(f"{name} ({dist[name]:.3f})" in text for text in drawn(picture)), name
        if name != "OpenRouter":  # its nearest points are not printed, and the others' 80 further points neither
            assert dist[name] == pytest.approx(of_the_paper[name][2], abs=0.009), name
    gpt = table.row(by_predicate=pl.col("name") == "GPT-5", named=True)
    assert (round(gpt["avg_acc_percent"], 2), gpt["cost_usd"]) == (65.96, 125.6)
    ranked = sorted(routers, key=lambda name: dist[name])
    assert ranked == sorted(routers, key=lambda name: of_the_paper[name][2]), "the order is the paper's"
    assert {name for name, on in zip(table["name"], table["on_frontier"], strict=True) if on} >= {"Avengers-Pro"}
