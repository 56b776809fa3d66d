"""Whether names and units of what was read make sense: nothing is changed, what looks wrong is said."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from llmrouterbench.findings import Findings
from llmrouterbench.table import FloatArray, IntArray, Outcomes

_FEW = 10
"""With fewer values than this of a model nothing is said of its units."""
_USD_PER_TOKEN = 1e-10, 1e-3
"""Listed prices are USD 0.01 to 600 per million tokens."""
_USD = 100.0
_TOKENS_PER_SECOND = 0.5, 20_000.0
_SECONDS = 600.0


def note_sense(outcomes: Outcomes, findings: Findings) -> None:
    """Report models whose names are alike, and medians of cost, seconds and tokens that no call has."""
    alike = defaultdict[str, list[str]](list)
    for model in outcomes.models:
        alike[re.sub(r"[^\w]|_", "", model.rpartition("/")[2].casefold()) or model].append(model)
    several = [" and ".join(names) for names in alike.values() if len(names) > 1]
    _note("names of models that are alike, not merged", several, findings)
    odd = {
        "cost that no price explains, check its unit": _odd_cost,
        "seconds that no call takes, check their unit": _odd_seconds,
        "same tokens_in for texts of different lengths": _odd_tokens,
    }
    length = np.array([len(prompt) for prompt in outcomes.queries.prompt])
    for kind, says in odd.items():
        said = [(model, says(outcomes, column, length)) for column, model in enumerate(outcomes.models)]
        _note(kind, [f"{model}: {what}" for model, what in said if what], findings)


def _note(kind: str, names: list[str], findings: Findings) -> None:
    if names:
        findings.add(kind, "kept", names[0], len(names), names)


def _odd_cost(outcomes: Outcomes, column: int, _: IntArray) -> str:
    """What is odd about a model's costs; "" where nothing is."""
    cost = outcomes.cost[:, column]
    cost = np.where(cost > 0, cost, np.nan)
    usd, per_token = _median(cost), _median(cost / _tokens(outcomes, column))
    if not _USD_PER_TOKEN[0] <= per_token <= _USD_PER_TOKEN[1] and not np.isnan(per_token):
        return f"USD {per_token * 1e6:.3g} per million tokens (median)"
    return f"USD {usd:.3g} a call (median)" if usd > _USD else ""


def _odd_seconds(outcomes: Outcomes, column: int, _: IntArray) -> str:
    seconds, tokens = outcomes.seconds[:, column], outcomes.tokens_out[:, column]
    seconds = np.where(seconds > 0, seconds, np.nan)
    rate, middle = _median(np.where(tokens > 0, tokens, np.nan) / seconds), _median(seconds)
    if rate > _TOKENS_PER_SECOND[1] or (rate < _TOKENS_PER_SECOND[0] and middle > 10):
        return f"{rate:.3g} tokens a second (median)"
    return f"{middle:.3g} seconds a call (median)" if middle > _SECONDS else ""


def _odd_tokens(outcomes: Outcomes, column: int, length: IntArray) -> str:
    tokens = outcomes.tokens_in[:, column]
    known = np.isfinite(tokens)
    one = known.sum() >= _FEW and np.ptp(tokens[known]) == 0 and length[known].max() > 2 * length[known].min()
    return f"always {tokens[known][0]:g}" if one else ""


def _tokens(outcomes: Outcomes, column: int) -> FloatArray:
    tokens: FloatArray = outcomes.tokens_in[:, column] + outcomes.tokens_out[:, column]
    return np.where(tokens > 0, tokens, np.nan)


def _median(values: FloatArray) -> float:
    """The median of what is known; NaN where that is little."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) >= _FEW else float("nan")
