"""Figure 10: which models every router sends its queries to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrouterbench.numerals import count, percent
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.figures.matrix import ROW, matrix_panel
from llmrouterbench.reporting.figures.picture import MOST_ROWS, Picture, canvas, drawing, left_out
from llmrouterbench.reporting.frames import wide_frame
from llmrouterbench.table import FloatArray

_MOST_MODELS = 15


@drawing
def distribution_picture(
    routers: Sequence[str],
    models: Sequence[str],
    share: FloatArray,
    *,
    least: float = 0.05,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw shares (routers, models) of the test queries, each row summing to 1, the most used model first.

    A model that no router sends at least `least` of its queries to goes to "others", and so do all but the 15 most
    used. Raises ValueError where the shape does not fit. Source: Figure 10. Differs: cells for pies, which hold any
    number of routers.
    """
    if share.shape != (len(routers), len(models)) or not share.size:
        raise ValueError(f"share must be (routers, models) = ({len(routers)}, {len(models)}), got {share.shape}")
    order = np.argsort(-share.mean(axis=0), kind="stable")
    named = [i for i in order.tolist() if share[:, i].max() >= least][:_MOST_MODELS]
    rest = 1.0 - share[:, named].sum(axis=1)
    table = 100 * np.column_stack([share[:, named], rest]) if len(named) < len(models) else 100 * share[:, named]
    columns = [models[i] for i in named] + ["others"] * (len(named) < len(models))
    drawn = list(routers)[:MOST_ROWS]
    said = [*left_out(len(routers), len(drawn), "routers", "AvgAcc")]
    if len(named) < len(models):
        others, bar = count(len(models) - len(named)), percent(least, unit=" %")
        most = f"or not among the {_MOST_MODELS} most used"
        said.append(f"Others: {others} models without {bar} of any router's queries, {most}.")
    said += notes
    figure, (axes,) = canvas(
        f"Share of queries that each model serves, %: {title}", 1.9 + ROW * len(drawn), simulated=simulated, notes=said
    )
    matrix_panel(axes, table[:MOST_ROWS], drawn, columns, "Blues")
    data = wide_frame({"router": routers}, [models[i] for i in order.tolist()], 100 * share[:, order])
    return Picture(figure, data, tuple(said))


def _picture(material: Material) -> Picture:
    """On the test part, mean over seeds, each router where validation put it."""
    routers = [row.name for row in material.board.of_kind("router")]
    share = np.array([_served_share(material, router) for router in routers])
    return distribution_picture(routers, material.outcomes.models, share, **material.look)


def _served_share(material: Material, router: str) -> FloatArray:
    """Share (m,) of the test queries that each model served, mean over seeds."""
    runs, shares = material.runs, []
    for seed, point in zip(runs.seeds, material.played.chosen[router], strict=True):
        part = runs.decisions[router, seed].parts["test"]
        mine = part.point == point
        served = np.bincount(part.model[mine], part.served[mine], minlength=len(runs.outcomes.models))
        shares.append(served / served.sum())
    return np.asarray(np.mean(shares, axis=0))


EXHIBIT = Exhibit(
    "Figure 10: which models the routers serve",
    (needs_runs("choices of routers", 1),),
    picture=_picture,
    place=110,
    of_logs=True,
)
