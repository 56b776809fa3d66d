"""Accuracy of models and routers on every dataset, as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.figures.matrix import ROW, matrix_panel
from llmrouterbench.reporting.figures.picture import MOST_ROWS, Picture, canvas, drawing, first_rows, left_out
from llmrouterbench.reporting.frames import wide_frame
from llmrouterbench.table import FloatArray

_MOST_DATASETS = 40


@drawing
def heatmap_picture(
    names: Sequence[str],
    datasets: Sequence[str],
    acc: FloatArray,
    *,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw accuracies (rows, datasets), fractions, the best AvgAcc on top; a cell that was not measured is empty.

    The first 40 rows by AvgAcc and the first 40 datasets are drawn. Raises ValueError where the shape does not fit.
    """
    if acc.shape != (len(names), len(datasets)) or not acc.size:
        raise ValueError(f"acc must be (names, datasets) = ({len(names)}, {len(datasets)}), not empty, got {acc.shape}")
    mean = avg_acc(acc)
    order = first_rows(mean, len(names))
    table = 100 * np.column_stack([mean, acc])[order]
    ranked, columns = [names[i] for i in order], ["AvgAcc", *datasets]
    shown = columns[: _MOST_DATASETS + 1]
    said = (
        *left_out(len(names), min(len(names), MOST_ROWS), "rows", "AvgAcc"),
        *left_out(len(datasets), len(shown) - 1, "datasets", "name"),
        *notes,
    )
    drawn = ranked[:MOST_ROWS]
    figure, (axes,) = canvas(
        f"Accuracy by dataset, %: {title}", 1.7 + ROW * len(drawn), simulated=simulated, notes=said
    )
    matrix_panel(axes, table[:MOST_ROWS, : len(shown)], drawn, shown, "cividis")
    axes.axvline(0.5, color="white", linewidth=3.0)
    data = wide_frame({"name": ranked}, columns, table)
    return Picture(figure, data, said)


def _picture(material: Material) -> Picture:
    """Of runs: routers, references and models on the test part, mean over seeds; of outcomes: models on all queries."""
    if material.decided is None:
        pool = material.outcomes.pool
        acc = dataset_means(pool.score, pool.dataset, pool.datasets).T
        return heatmap_picture(pool.models, pool.datasets, acc, **material.look)
    rows = material.board.rows
    acc = np.array([row.accuracy for row in rows])
    return heatmap_picture([row.name for row in rows], material.board.datasets, acc, **material.look)


EXHIBIT = Exhibit("Accuracy by dataset", picture=_picture, place=201, of_logs=True)
