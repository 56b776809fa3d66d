"""Names beside the points of a scatter plot, each where it covers nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrouterbench.reporting.figures.picture import LABEL, literal
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.transforms import BboxBase

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""
_LONGEST = 44
_FAR = 24.0
_OFFSETS = (
    (6, 0),
    (0, 6),
    (0, -6),
    (-6, 0),
    (5, 5),
    (5, -5),
    (-5, 5),
    (-5, -5),
    (0, 15),
    (0, -15),
    (22, 9),
    (22, -9),
    (-22, 9),
    (-22, -9),
    (0, 26),
    (0, -26),
    (34, -20),
    (34, 20),
)


def label_points(axes: Axes, xy: FloatArray, names: Sequence[str], *, bold: int | None = None, gap: float = 1.0) -> int:
    """Write names at the points xy (n, 2), the first ones first; without room, not at all. Returns how many stand.

    `gap` widens the distance to the points, for large ones; a name far from its point has a line to it. The layout of
    the figure must be final (`figure.draw_without_rendering`).
    """
    taken, frame, pixels = _drawn(axes, xy), _corners(axes.bbox), axes.transData.transform(xy)
    written = 0
    for i, (point, name) in enumerate(zip(pixels.tolist(), names, strict=True)):
        text = axes.annotate(
            literal(name, _LONGEST), (xy[i, 0], xy[i, 1]), xytext=(0, 0), textcoords="offset points",
            fontsize=LABEL, color="#333333", fontweight="bold" if i == bold else "normal",
        )  # fmt: skip
        box = _place(text, taken, frame, gap)
        if box is None:
            text.remove()
            continue
        taken = np.vstack([taken, box])
        written += 1
        _lead(axes, (point[0], point[1]), box)
    return written


def _place(text: Text, taken: FloatArray, frame: Box, gap: float) -> Box | None:
    """Move a text to the first offset at which it covers nothing; None where there is none."""
    start = text.get_window_extent()
    scale = text.figure.dpi / 72.0 if text.figure else 1.0
    for dx, dy in _OFFSETS:
        left = start.x0 + gap * dx * scale - start.width * (0.0 if dx > 0 else 1.0 if dx < 0 else 0.5)
        bottom = start.y0 + gap * dy * scale - start.height * (0.0 if dy > 0 else 1.0 if dy < 0 else 0.5)
        box = (left, bottom, left + start.width, bottom + start.height)
        if _inside(box, frame) and not _covers(box, taken):
            text.set_position(((left - start.x0) / scale, (bottom - start.y0) / scale))
            return box
    return None


def _lead(axes: Axes, point: tuple[float, float], box: Box) -> None:
    """A thin line from a point to the nearest place of a box that is far from it (pixels)."""
    near = min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3])
    if math.dist(point, near) > _FAR:
        ends = axes.transData.inverted().transform([point, near])
        axes.plot(ends[:, 0], ends[:, 1], color="#999999", linewidth=0.6, zorder=2, scalex=False, scaley=False)


def _drawn(axes: Axes, xy: FloatArray) -> FloatArray:
    """Boxes (k, 4) in pixels that a label must not cover: points, marks, lines cut into short pieces, the legend."""
    legend = axes.get_legend()
    boxes = [np.array([_corners(legend.get_window_extent())])] if legend is not None else []
    for line in [*(np.asarray(line.get_xydata(), dtype=np.float64) for line in axes.lines), *xy[:, None]]:
        ends = axes.transData.transform(line)
        steps = np.maximum(1, np.ceil(np.abs(np.diff(ends, axis=0)).max(axis=1) / 6.0)).astype(np.int64)
        pieces = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(ends[:-1], ends[1:], steps, strict=True)]
        at = np.concatenate([*pieces, ends[-1:]])
        boxes.append(np.hstack([at - 4, at + 4]))
    return np.concatenate(boxes) if boxes else np.empty((0, 4))


def _corners(box: BboxBase) -> Box:
    return box.x0, box.y0, box.x1, box.y1


def _inside(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _covers(box: Box, taken: FloatArray) -> bool:
    left, bottom, right, top = taken.T
    return bool(((box[0] < right) & (left < box[2]) & (box[1] < top) & (bottom < box[3])).any())
