"""What every figure shares: a canvas 1200 pixels wide, a safe palette, literal names, and its files.

Every figure is one function from plain values to a `Picture`: the drawing, and the numbers on it as a table.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from llmrouterbench.files import write_bytes
from llmrouterbench.numerals import count
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, told apart with any kind of colour vision (https://jfly.uni-koeln.de/color)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Markers tell the same story without colour."""
GREY = "#777777"
PALE = "#e6e6e6"
WIDTH = 8.0
DPI = 150
LABEL = 7.5
"""Size in points of the smallest text: 16 pixels."""
MOST_LINES = 7
"""Lines that a figure tells apart by colour and marker."""
MOST_ROWS = 40
"""Rows of names that a figure draws; the others are counted in its caption and stand in its CSV."""
_LONGEST_NAME = 34
_LONGEST_LINE = 118
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"


@dataclass(frozen=True)
class Picture:
    """A drawn figure.

    figure  the drawing, 1200 pixels wide
    data    every number on it, and those that had no room
    notes   what is not drawn, in sentences; they stand below the drawing too
    """

    figure: Figure
    data: pl.DataFrame
    notes: tuple[str, ...] = ()


Arguments = ParamSpec("Arguments")


def drawing(function: Callable[Arguments, Picture]) -> Callable[Arguments, Picture]:
    """Let a figure function draw with every `$` of a name as a dollar sign. ImportError without matplotlib."""

    @wraps(function)
    def draw(*args: Arguments.args, **settings: Arguments.kwargs) -> Picture:
        with _literally():
            made = function(*args, **settings)
        return replace(made, data=marked(made.data)) if settings.get("simulated") else made

    return draw


def marked(data: pl.DataFrame) -> pl.DataFrame:
    """The same table with a column that says so: numbers of simulated data must not travel without it."""
    import polars as pl

    return data.with_columns(simulated=pl.lit(True))


def check_matplotlib() -> None:
    """Raise ModuleNotFoundError with the remedy where nothing can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        sentence = "a figure needs matplotlib; pip install 'llmrouterbench[report]'"
        raise ModuleNotFoundError(sentence, name="matplotlib") from error


@contextmanager
def _literally() -> Iterator[None]:
    check_matplotlib()
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False, "svg.hashsalt": "llmrouterbench", "font.size": 9.0}):
        yield


def picture_files(picture: Picture, name: str) -> dict[str, bytes]:
    """File contents by name: NAME.svg, NAME.png and NAME.csv; the same bytes for the same numbers."""
    out = {f"{name}.csv": picture.data.write_csv().encode()}
    with _literally():
        picture.figure.draw_without_rendering()
        picture.figure.set_layout_engine("none")  # the layout stands: it need not be found again for every file
        for kind, key in (("png", "Software"), ("svg", "Date")):
            buffer = io.BytesIO()
            picture.figure.savefig(buffer, format=kind, metadata={key: None})
            out[f"{name}.{kind}"] = buffer.getvalue()
    return out


def save_picture(picture: Picture, folder: str | Path, name: str) -> list[Path]:
    """Write the three files of a picture into a folder, each atomically; `name` is their stem."""
    paths = {Path(folder) / file: data for file, data in picture_files(picture, name).items()}
    for path, data in paths.items():
        write_bytes(path, data)
    return list(paths)


def canvas(
    title: str,
    height: float,
    panels: tuple[int, int] = (1, 1),
    *,
    simulated: bool = False,
    notes: Sequence[str] = (),
    **grid: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure with (rows, columns) of panels, its title above and its notes below; `simulated` figures say so."""
    from matplotlib.figure import Figure

    lines = [line for note in notes for line in _wrapped(note)]
    figure = Figure(figsize=(WIDTH, height + 0.16 * len(lines)), dpi=DPI, layout="constrained")
    axes = figure.subplots(*panels, squeeze=False, **grid).ravel().tolist()
    shown = "\n".join(_wrapped(f"{'SIMULATED: ' if simulated else ''}{title}", 88))
    figure.suptitle(shown, x=0.012, ha="left", fontsize=11)
    if lines:
        figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=LABEL, color="#444444")
    for one in axes:
        one.grid(color=PALE, linewidth=0.6)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def _wrapped(note: str, width: int = _LONGEST_LINE) -> list[str]:
    import textwrap

    return textwrap.wrap(printable(note), width)


def literal(name: str, most: int = _LONGEST_NAME) -> str:
    """A name as it can be drawn: on one line, cut in the middle where it is long.

    >>> literal("a" * 50)
    'aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaa'
    >>> literal("<script>$x_1$")
    '<script>$x_1$'
    """
    text = printable(name)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-((most - 1) // 2) :]}"


def numbered(name: str, number: str) -> str:
    """A name with a number behind it, also where the name runs from right to left.

    >>> numbered("knn", " (0.012)")
    'knn (0.012)'
    """
    mark = _LEFT_TO_RIGHT if any(unicodedata.bidirectional(c) in ("R", "AL") for c in name) else ""
    return f"{literal(name, 30)}{mark}{number}"


def printable(text: str) -> str:
    """Text without line breaks and control characters; a character that the font lacks is drawn as a box."""
    known = _glyphs()
    kept = (c for c in text if c.isspace() or c == _LEFT_TO_RIGHT or not unicodedata.category(c).startswith("C"))
    return "".join(" " if c.isspace() else c if ord(c) in known else "\N{WHITE SQUARE}" for c in kept).strip() or " "


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def legend(axes: Axes, handles: Sequence[Any], names: Sequence[str], **look: Any) -> None:
    """A legend of literal names; matplotlib by itself would leave out those that start with an underscore."""
    made = axes.legend(list(handles), [str(i) for i in range(len(names))], fontsize=8, edgecolor="none", **look)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(literal(name, 44))


def legend_beside(axes: Axes, handles: Sequence[Any], names: Sequence[str], title: str = "") -> None:
    """A legend at the right of the panel, where it covers nothing."""
    look: dict[str, Any] = {"title": title, "title_fontsize": LABEL, "alignment": "left"} if title else {}
    legend(axes, handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, **look)


def rows_axis(panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Names down the vertical axis that the panels share, the first on top."""
    panels[0].set_yticks(range(len(names)), [literal(name) for name in names], fontsize=8)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)


def first_rows(values: FloatArray, most: int = MOST_ROWS) -> np.typing.NDArray[np.int64]:
    """Positions of the largest values (n,), the largest first; unknown ones last; at most `most`.

    >>> first_rows(np.array([1.0, np.nan, 3.0]), 2).tolist()
    [2, 0]
    """
    return np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[:most]


def left_out(total: int, drawn: int, what: str, by: str) -> tuple[str, ...]:
    """The sentence on rows that had no room; nothing where all had.

    >>> left_out(500, 40, "models", "AvgAcc")
    ('Drawn: 40 of 500 models, the first by AvgAcc; the CSV has all.',)
    """
    if total <= drawn:
        return ()
    return (f"Drawn: {count(drawn)} of {count(total)} {what}, the first by {by}; the CSV has all.",)


_LOG_FROM = 10.0


def cost_axis(axes: Axes, cost: FloatArray) -> None:
    """A horizontal axis of USD, logarithmic where the costs (n,) span more than 10x.

    A free point has no logarithm: where there is one, the axis is linear below the cheapest paid point.
    """
    from matplotlib.ticker import LogLocator

    positive = cost[cost > 0]
    if not len(positive) or positive.max() <= _LOG_FROM * positive.min():
        return
    if len(positive) < len(cost):
        axes.set_xscale("symlog", linthresh=float(positive.min()))
    else:
        axes.set_xscale("log")
        steps = (1.0, 2.0, 5.0) if positive.max() < 1000.0 * positive.min() else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
