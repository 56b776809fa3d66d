"""Figure 3: accuracy of the models in every domain; no line is on the right everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.metrics import dataset_means, known_mean
from llmrouterbench.numerals import count
from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.figures.picture import (
    COLOURS,
    MARKERS,
    MOST_LINES,
    MOST_ROWS,
    Picture,
    canvas,
    drawing,
    left_out,
    legend_beside,
    rows_axis,
)
from llmrouterbench.reporting.frames import wide_frame
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.62


@drawing
def domains_picture(
    models: Sequence[str],
    domains: Sequence[str],
    acc: FloatArray,
    *,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw accuracies (models, domains), fractions: a grey dot a model, and lines for those that lead somewhere.

    At most seven models have a line: the best of every domain, then the best on average. Raises ValueError where the
    shape does not fit. Source: Figure 3. Differs: parallel axes for the radar, which 20 models would fill.
    """
    if acc.shape != (len(models), len(domains)) or not acc.size:
        raise ValueError(f"acc must be (models, domains) = ({len(models)}, {len(domains)}), not empty, got {acc.shape}")
    shown = acc[:, :MOST_ROWS]
    named = _leaders(shown)
    others = len(models) - len(named)
    grey = [f"Grey: {count(others)} other models."] if others else []
    said = (*left_out(len(domains), shown.shape[1], "domains", "name"), *grey, *notes)
    height = 1.4 + _ROW * min(shown.shape[1], 8) + 0.2 * max(0, shown.shape[1] - 8)
    figure, (axes,) = canvas(f"Accuracy by domain: {title}", height, simulated=simulated, notes=said)
    rows = np.tile(np.arange(shown.shape[1]), len(models))
    axes.scatter(100 * shown.ravel(), rows, s=20, color="#bdbdbd", zorder=2)
    handles = [_profile(axes, shown[i], place) for place, i in enumerate(named)]
    rows_axis([axes], list(domains)[:MOST_ROWS])
    axes.set_xlabel("accuracy, %")
    legend_beside(axes, handles, [models[i] for i in named])
    data = wide_frame({"model": models}, domains, 100 * acc)
    return Picture(figure, data, said)


def _leaders(acc: FloatArray) -> list[int]:
    """Rows with a line: the best of every domain in turn, filled up with the best means."""
    filled = np.where(np.isfinite(acc), acc, -np.inf)
    means = known_mean(acc)
    by_mean = np.argsort(-np.where(np.isfinite(means), means, -np.inf), kind="stable")
    return list(dict.fromkeys([*filled.argmax(axis=0).tolist(), *by_mean.tolist()]))[:MOST_LINES]


def _profile(axes: Axes, acc: FloatArray, place: int) -> Any:
    look: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], "markersize": 7, "linewidth": 1.0}
    known = np.flatnonzero(np.isfinite(acc))
    return axes.plot(100 * acc[known], known, alpha=0.9, zorder=3, markeredgecolor="white", **look)[0]


def _picture(material: Material) -> Picture:
    """Mean over the datasets of a domain; without a setting every dataset is a domain."""
    pool, of_setting = material.outcomes.pool, material.setting.domains if material.setting else {}
    acc = dataset_means(pool.score, pool.dataset, pool.datasets)
    domain = {name: domain for domain, names in of_setting.items() for name in names}
    of = [domain.get(name, name) for name in pool.datasets]
    domains = [*(one for one in of_setting if one in of), *(one for one in of if one not in of_setting)]
    values = np.array([known_mean(acc[[one == mine for mine in of]], axis=0) for one in domains]).T
    return domains_picture(pool.models, domains, values, **material.look)


EXHIBIT = Exhibit("Figure 3: accuracy of the models by domain", picture=_picture, place=103)
