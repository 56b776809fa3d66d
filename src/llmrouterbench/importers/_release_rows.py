"""Which records of different models are answers to the same question.

Files of one dataset and subset are aligned by prompt. A prompt that stands several times in a file stays several
questions: the second "x" of one model meets the second "x" of the others. Where one model was sent another wording, its
record is matched by its index and the difference is reported: it must not become a question of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from llmrouterbench.findings import Findings
from llmrouterbench.importers._release_records import ReleaseFile
from llmrouterbench.table import IntArray

_UNSET = np.iinfo(np.int64).min
_ALIKE = 0.9
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class KeptFile:
    """A result file whose texts have been handed over.

    file  its keys and numbers
    slot  (n,) number of the question of each record among all questions ever seen, see `Slots`
    part  number of its part of the stored replies
    """

    file: ReleaseFile
    slot: IntArray
    part: int


@dataclass
class _Known:
    """What is known of one dataset and subset: slots by question, and the file seen last."""

    slots: dict[Hashable, int] = field(default_factory=dict)
    last_prompt: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))
    last_index: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    last_slot: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass
class Slots:
    """Every question seen so far: one slot per dataset, subset, prompt and occurrence of the prompt in a file."""

    prompt: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict)

    def number(self, file: ReleaseFile) -> IntArray:
        """Slots (n,) of the records of a file; new questions get new ones."""
        known = self._known.setdefault((file.dataset, file.subset), _Known())
        prompt = file.texts["prompt"]
        same = np.array_equal(np.diff(known.last_index), np.diff(file.index)) and known.last_prompt.equals(prompt)
        if not same:  # most files ask exactly what the one before them asked
            slot = self._look_up(known.slots, prompt.to_list(), file)
            known.last_prompt, known.last_index, known.last_slot = prompt, file.index, slot
        return known.last_slot

    def _look_up(self, known: dict[Hashable, int], prompt: list[str], file: ReleaseFile) -> IntArray:
        keys = _question_keys(prompt, file.index)
        slots = list(map(known.get, keys))
        for record in [i for i, slot in enumerate(slots) if slot is None]:
            slots[record] = known[keys[record]] = len(self.prompt)
            self.prompt.append(prompt[record])
            self.text.append(file.texts["origin_query"][record] or prompt[record])
        return np.array(slots, dtype=np.int64)


def _question_keys(prompt: Sequence[str], index: IntArray) -> Sequence[Hashable]:
    """The prompt itself; with its occurrence number, in the order of the index, where it repeats.

    >>> _question_keys(["a", "b", "a"], np.array([3, 2, 1]))
    [('a', 1), 'b', 'a']
    >>> _question_keys(["", ""], np.array([0, 1]))
    [('', 1), ('', 2)]
    """
    if len(set(prompt)) == len(prompt) and "" not in prompt:
        return prompt
    keys: list[Hashable] = list(prompt)
    seen: Counter[str] = Counter()
    shift = _own_shift(index)
    for record in np.argsort(index, kind="stable").tolist():
        text = prompt[record]
        if not text:
            keys[record] = (text, int(index[record]) - shift)
        elif seen[text]:
            keys[record] = (text, seen[text])
        seen[text] += 1
    return keys


def _own_shift(index: IntArray) -> int:
    """What to subtract from an index to count from 1."""
    return min(int(index.min()) - 1, 0) if len(index) else 0


def merge_wordings(files: Sequence[KeptFile], slots: Slots, findings: Findings) -> tuple[IntArray, IntArray]:
    """Main slot of every slot, and its place (from 1) in its subset.

    Two slots at the same place are one question in two wordings when no file holds both and the texts are alike.
    The wording of most files stays, or the one seen first.
    """
    main = np.arange(len(slots.prompt))
    place = np.full(len(slots.prompt), _UNSET)
    groups: dict[tuple[str, str], list[KeptFile]] = defaultdict(list)
    for kept in files:
        groups[kept.file.dataset, kept.file.subset].append(kept)
    for group in groups.values():
        _set_places(group, place)
        for rivals in _rivals(group, place):
            _merge_rivals(rivals, slots, main, findings)
    return main, place


def _set_places(group: Sequence[KeptFile], place: IntArray) -> None:
    """Place of every slot of a group: its index, counted from 1, in the first file that has it."""
    for kept in group:
        index, at = kept.file.index, place[kept.slot]
        known = at != _UNSET
        shifts, counts = np.unique(index[known] - at[known], return_counts=True)
        shift = int(shifts[counts.argmax()]) if len(shifts) else _own_shift(index)
        place[kept.slot[~known]] = index[~known] - shift


@dataclass
class _Rival:
    """One of several slots at the same place, with its records: number of the file -> (file, record)."""

    slot: int
    records: dict[int, tuple[ReleaseFile, int]]


def _rivals(group: Sequence[KeptFile], place: IntArray) -> list[list[_Rival]]:
    """Slots of a group that share a place, most files first."""
    used = np.unique(np.concatenate([kept.slot for kept in group]))
    _, inverse, counts = np.unique(place[used], return_inverse=True, return_counts=True)
    contested = used[counts[inverse] > 1]
    if not len(contested):
        return []
    at: dict[int, dict[int, _Rival]] = defaultdict(dict)
    for number, kept in enumerate(group):
        for record in np.flatnonzero(np.isin(kept.slot, contested)).tolist():
            slot = int(kept.slot[record])
            at[int(place[slot])].setdefault(slot, _Rival(slot, {})).records[number] = (kept.file, record)
    return [
        sorted(rivals.values(), key=lambda rival: (-len(rival.records), rival.slot))
        for rivals in at.values()
        if _disjoint(rivals.values())
    ]


def _disjoint(rivals: Collection[_Rival]) -> bool:
    """Whether no file holds two of them; a file that does holds different questions under one index."""
    files = [file for rival in rivals for file in rival.records]
    return len(set(files)) == len(files)


def _merge_rivals(rivals: list[_Rival], slots: Slots, main: IntArray, findings: Findings) -> None:
    chosen, *others = rivals
    for other in others:
        first, record = next(iter(other.records.values()))
        models = sorted({file.model for file, _ in other.records.values()})
        alike = _alike(slots.text[chosen.slot], slots.text[other.slot])
        if alike:
            main[other.slot] = chosen.slot
        kind = "prompt differs between models" if alike else "different question at the same index"
        example = f"{first.name} record {record + 1}"
        findings.add(kind, "merged" if alike else "kept", example, len(other.records), models)


def _alike(one: str, other: str) -> bool:
    """Whether two bare queries are one question: nine in ten words of the shorter one stand in the other.

    >>> _alike("Name the capital of Peru.", "Q: name the capital of  Peru"), _alike("Is 7 prime?", "Is 9 prime?")
    (True, False)
    """
    if one == other:
        return True
    a, b = (Counter(_WORD.findall(text.lower())) for text in (one, other))
    return (a & b).total() >= _ALIKE * min(a.total(), b.total()) > 0
