"""One bad row does not refuse a file: its value is masked, counted and shown, unless there are many of its kind."""

from __future__ import annotations

from llmrouterbench.findings import Findings, Happened

_ONE_IN = 100


class BadRows:
    """Values that break a rule, and records that cannot be read, of one source.

    >>> bad, findings = BadRows(), Findings()
    >>> bad.add("score must be between 0 and 1, got 7 in a.csv record 3")
    >>> bad.settle(50, findings)
    >>> findings.all()[0].example
    'score must be between 0 and 1, got 7 in a.csv record 3'
    """

    def __init__(self) -> None:
        self._found: dict[Happened, tuple[str, int]] = {}

    def add(self, sentence: str, count: int = 1, happened: Happened = "masked") -> None:
        """Count bad rows; `sentence` names the first one and its rule."""
        first, before = self._found.get(happened, (sentence, 0))
        self._found[happened] = first, before + count

    def drop(self, _: int, sentence: str) -> None:
        """Count a record that cannot be read."""
        self.add(sentence, happened="dropped")

    def settle(self, records: int, findings: Findings) -> None:
        """Report the bad rows among `records`. Raises ValueError with the first one where more than 1 % are bad.

        One is never too many, but in a file of one record.
        """
        kinds = {"masked": "value that breaks a rule", "dropped": "record that cannot be read"}
        for happened, (first, count) in self._found.items():
            if count >= records or count > max(1, records // _ONE_IN):
                more = f" ({count:,} such in {records:,} records)" if count > 1 else ""
                raise ValueError(first + more)
            findings.add(kinds[happened], happened, first, count)
