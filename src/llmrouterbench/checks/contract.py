"""What a broken rule of a public contract raises: an error of its own, so that `python -O` checks as much."""

from __future__ import annotations


class ContractError(AssertionError):
    """A router or a dataset breaks a rule of its contract; the message says which rule and what was got."""


def require(kept: bool, sentence: str) -> None:
    """Raise `ContractError` with the sentence unless the rule is kept."""
    if not kept:
        raise ContractError(sentence)
