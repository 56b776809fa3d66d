"""The verdict in words: what to run, the small table of what a loss of accuracy saves, and the commands for it."""

from __future__ import annotations

import math
import shlex

from llmrouterbench.numerals import count, interval, percent, points, usd
from llmrouterbench.studies.verdict import SEEN, Offer, Verdict

SHOWN = (0.0, 0.01, 0.02, 0.05)
"""Losses in the small table."""
LEGEND = (
    "Of all models and operating points of routers with a dial: the cheapest that loses no more AvgAcc, in points,"
    " against the best single model of train, surely (95 %, one-sided) on training queries that the router did not see,"
    " and the best one there; chosen seed by seed, measured on test."
)


def title(offer: Offer) -> str:
    """The router with its operating point, or the model."""
    return offer.name if math.isnan(offer.weight) else f"{offer.name}, {_setting(offer)}"


def _setting(offer: Offer) -> str:
    """Where the dial stands, as `--policy` takes it."""
    return f"weight {offer.weight:.4g}"


def command(offer: Offer, data: str = "DATA") -> str:
    """The command that fits it on a folder of outcomes; "" for a model, which needs no router."""
    if offer.kind == "model":
        return ""
    policy = f" --policy {shlex.quote(_setting(offer))}" if offer.weight > 0.0 else ""
    return f"llmrouterbench fit {shlex.quote(data)} --router {shlex.quote(offer.name)}{policy} --to router"


def headline(found: Verdict) -> str:
    """The verdict in one sentence."""
    base, choice = found.base, found.choice
    if choice is None:
        unseen = f"a lead below {percent(found.seen)} points" if math.isfinite(found.seen) else "a lead of any size"
        if not found.told:
            many = f"{unseen} need not show with {count(found.queries)} test queries; more would settle it"
            return f"Cannot tell whether to route: {many}. Until then serve {base}."
        if found.unsettled is not None:
            one = found.unsettled
            saved, moved = interval(one.saving, percent, " %"), interval(one.difference, points, " points")
            many = f"saves {saved}, but AvgAcc moves by {moved}; more than {count(found.queries)} test queries"
            return f"Cannot tell whether to route: {one.name} {many} would settle it. Until then serve {base}."
        nothing = "nothing here is certainly better, or as good and certainly cheaper"
        return f"Serve {base} to everyone: {nothing}; {unseen} need not show."
    moved = interval(choice.difference, points, " points")
    if choice is found.offers[0]:
        verb = f"Route with {choice.name}" if choice.kind == "router" else f"Serve {choice.name} to everyone"
        return f"{verb}: {moved} against {base}, the best single model{_at_cost(choice)}."
    saved = interval(choice.saving, percent, " %")
    if choice.kind == "router":
        return f"Route with {choice.name} to save {saved} of the cost of {base}; AvgAcc moves by {moved}."
    return f"Serve {choice.name} instead of {base}: it saves {saved}; AvgAcc moves by {moved}."


def _at_cost(offer: Offer) -> str:
    if not math.isfinite(offer.saving.value):
        return ""
    more = offer.saving.value < 0
    return f", for {percent(abs(offer.saving.value))} % {'more' if more else 'less'} money"


def bargain(found: Verdict) -> str:
    """What the smallest loss in the table buys that certainly saves more than no loss does; "" where none does."""
    if not found.told:
        return ""
    runs_free = found.choice is found.offers[1]
    free = max(0.0, found.offers[1].saving.value) if runs_free else 0.0
    asked = map(found.losing, SHOWN[1:] if runs_free else SHOWN)
    one = next((one for one in asked if one.cheaper and one.saving.low > free and not _worse(one)), None)
    if one is None:
        return "Accepting to lose up to 5 points certainly saves no more." if found.priced else ""
    saved, moved = interval(one.saving, percent, " %"), interval(one.difference, points, " points")
    who = f"accepts losing up to {loss_in_words(one)}" if one.losing else "wants to lose nothing"
    return f"Who {who} saves {saved} with {one.name}; measured: {moved}."


def _worse(offer: Offer) -> bool:
    """Whether test says that it loses certainly more than was accepted."""
    return offer.difference.high < -(offer.losing or 0.0)


def loss_in_words(offer: Offer) -> str:
    """The loss of an offer in points."""
    lost = offer.losing or 0.0
    return f"{100 * lost:g} point{'' if lost == 0.01 else 's'}"


def lines(found: Verdict) -> list[str]:
    """The verdict in words: what to run, and what a loss would save."""
    return [one for one in (headline(found), bargain(found)) if one]


def folded(found: Verdict) -> list[tuple[str, Offer]]:
    """The offers of the small table by the points that may be lost; neighbours that are the same offer are one."""
    out: list[tuple[str, Offer]] = [("best", found.offers[0])]
    for loss in SHOWN if found.priced else ():
        one, (words, last) = found.losing(loss), out[-1]
        if last.losing is not None and (title(last), last.difference, last.usd) == (
            title(one),
            one.difference,
            one.usd,
        ):
            out[-1] = (f"{words.split(' to ')[0]} to {100 * loss:.0f}", one)
        else:
            out.append((f"{100 * loss:.0f}", one))
    return out


def table(found: Verdict, *, narrow: bool = False) -> list[list[str]]:
    """The price of accuracy as cells, the header first; `narrow` leaves out who serves."""
    priced = ["saves, %", "USD/1,000"] if found.priced else []
    head = ["may lose", "run", "AvgAcc, points", *priced, *([] if narrow else ["who serves"])]
    out = [head]
    for words, one in folded(found):
        some = "" if one.seeds == found.seeds else f" ({one.seeds} of {found.seeds} seeds)"
        same = one.name == found.base and not some
        row = [words, title(one) + some, "baseline" if same else interval(one.difference, points)]
        row += ["" if same else interval(one.saving, percent), usd(one.usd.value)] if found.priced else []
        out.append(row + ([] if narrow else [serving(one)]))
    return out


def prices(found: Verdict) -> list[str]:
    """What each loss of the table would save, a line each, and an empty line; [] where costs are not known."""
    if not (found.priced and found.told):
        return []
    out = ["What losing accuracy would save, in the mean over datasets (chosen on unseen training queries):"]
    for words, one in folded(found)[1:]:
        saved, moved = interval(one.saving, percent, " %"), interval(one.difference, points, " points")
        alone = one.name == found.base and one.seeds == found.seeds
        what = "nothing" if alone else f"{saved} with {title(one)}; measured: {moved}; served by {serving(one)}"
        out.append(f"- up to {words} point{'' if words == '1' else 's'}: {what}")
    return [*out, ""]


def serving(offer: Offer, most: int = 3) -> str:
    """Which models answer, the largest shares first."""
    parts = [f"{name} {percent(share, 0)} %" for name, share in offer.served[:most]]
    rest = 1.0 - sum(share for _, share in offer.served[:most])
    return ", ".join([*parts, *([f"others {percent(rest, 0)} %"] if rest >= SEEN else [])])


def commands(found: Verdict, data: str = "DATA") -> list[str]:
    """How to run every router of the small table."""
    return list(dict.fromkeys(said for _, one in folded(found) if (said := command(one, data))))
