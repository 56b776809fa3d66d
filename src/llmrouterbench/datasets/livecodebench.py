"""LiveCodeBench (release 6): 1,055 contest problems, programs that read and print or methods of a class `Solution`.

Source: Jain et al. 2024, "LiveCodeBench: Holistic and Contamination Free Evaluation of Large Language Models for Code",
arXiv 2403.07974. Right is a program whose answers to all public and private tests are the expected ones, each within
the benchmark's six seconds: line by line, white space at the ends aside, numbers by value.

Differs from the benchmark's own checker in that numbers with a fraction may be off by 1e-6 (1e-5 from a method), as the
problems allow, and that tuples equal lists at any depth; and from the official LLMRouterBench code, which unpickles the
private tests unguarded and scores on the public ones alone where that fails.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import pickle
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._code import find_code, last_fenced
from llmrouterbench.replies import Item, Score
from llmrouterbench.sandbox.code_runs import answered

SECONDS = 6.0
_FILES = tuple(f"test{number}.jsonl" for number in ("", 2, 3, 4, 5, 6))
_MOST_BYTES = 1 << 29
_PRINTED_TOLERANCE, _RETURNED_TOLERANCE = 1e-6, 1e-5
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
PROMPT = """\
{query}

{form} Reply with the whole Python program in one ```python code block.
"""
_READING = "Write a Python program that reads its input from standard input and prints the answer to standard output."
_STARTED = "Complete this code, and keep the names of the class and the method:\n\n```python\n{starter}\n```\n\n"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The problems. Private tests (gigabytes in all) stay in their file: the item says where they lie."""
    return [item for name in _FILES for item in _file(files[name])]


def _file(path: Path) -> Iterator[Item]:
    with path.open("rb") as file:
        start = 0
        for line in file:
            if line.strip():
                yield _item(orjson.loads(line), {"file": str(path), "start": start, "bytes": len(line)})
            start += len(line)


def _item(row: dict[str, Any], place: dict[str, Any]) -> Item:
    metadata = orjson.loads(row["metadata"] or "{}")
    details = {
        **{name: row[name] for name in ("platform", "difficulty", "contest_date", "starter_code")},
        "func_name": metadata.get("func_name") or "",
        "public": row["public_test_cases"],
        "private": place,
    }
    return Item(row["question_id"], row["question_content"], details=details)


def prompt(item: Item) -> str:
    """The problem and the form of the program."""
    starter = item.details["starter_code"]
    form = _STARTED.format(starter=starter.rstrip()) if starter else _READING
    return PROMPT.format(query=item.query, form=form.rstrip(" "))


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where all tests are answered as expected; not scored where the tests cannot be read."""
    entry = item.details["func_name"]
    code = (find_code(reply, "Solution") or find_code(reply, entry)) if entry else find_code(reply)
    return _scored(item, code, instruments, same_value if entry else same_output, tests_of)


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official reading: the last two fences, equal numbers, the public tests alone where the private ones fail."""
    exact = _equal_value if item.details["func_name"] else _equal_output
    return _scored(item, last_fenced(reply), instruments, exact, _official_tests)


def _official_tests(item: Item) -> list[tuple[str, str]]:
    try:
        return tests_of(item)
    except ValueError:
        return tests_of(replace(item, details=item.details | {"private": "[]"}))


def _scored(
    item: Item,
    code: str,
    instruments: Instruments,
    same: Callable[[Any, str], bool],
    tests: Callable[[Item], list[tuple[str, str]]],
) -> Score:
    entry = item.details["func_name"]
    try:
        cases = tests(item)
        if entry:
            _check_values(cases)
    except ValueError as error:
        return Score(math.nan, "", str(error))
    if not code:
        return Score(0.0, "", "no program in the reply")
    return answered(instruments.run, code, entry, cases, SECONDS, same)


def _check_values(cases: list[tuple[str, str]]) -> None:
    """Raise ValueError where the input or output of a method is no JSON: nobody could answer that."""
    for number, (given, expected) in enumerate(cases, 1):
        for text in (*filter(str.strip, given.split("\n")), expected):
            try:
                json.loads(text, parse_int=str)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"test {number} of {len(cases)} must be JSON, got {text[:60]!r} ({error})") from None


def tests_of(item: Item) -> list[tuple[str, str]]:
    """All tests of a problem as (input, expected output), the public ones first. Raises ValueError."""
    tests = []
    for kind, encoded in (("public", item.details["public"]), ("private", item.details["private"])):
        try:
            rows = orjson.loads(_text(encoded))
            tests += [(row["input"], row["output"]) for row in rows]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(f"the {kind} tests of {item.id} cannot be read: {error}") from None
    if not tests:
        raise ValueError(f"problem {item.id} has no tests")
    return tests


def _text(encoded: str | dict[str, Any]) -> str:
    """The tests as JSON text: plain, or base64 of zlib of a pickled string; a dict says where the line lies."""
    if isinstance(encoded, dict):
        with Path(encoded["file"]).open("rb") as file:
            file.seek(encoded["start"])
            encoded = str(orjson.loads(file.read(encoded["bytes"]))["private_test_cases"])
    if encoded.lstrip().startswith("["):
        return encoded
    try:
        return unpickled_text(_inflated(base64.b64decode(encoded, validate=True)))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"neither JSON nor compressed text ({error})") from None


def _inflated(compressed: bytes) -> bytes:
    inflating = zlib.decompressobj()
    content = inflating.decompress(compressed, _MOST_BYTES)
    if not inflating.eof:
        raise ValueError(f"compressed text must end and be shorter than {_MOST_BYTES} bytes")
    return content


class _OnlyText(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def unpickled_text(content: bytes) -> str:
    """The string in a pickle; anything else is refused, and no class is ever looked up. Raises ValueError.

    >>> unpickled_text(pickle.dumps("[]"))
    '[]'
    """
    try:
        text = _OnlyText(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"no pickled string ({error})") from None
    if not isinstance(text, str):
        raise ValueError(f"a pickled string is expected, got {type(text).__name__}")
    return text


def same_output(printed: str, expected: str, tolerance: float = _PRINTED_TOLERANCE) -> bool:
    r"""Whether what was printed is what was expected, line by line.

    >>> same_output("1 2 \n\n", "1 2"), same_output("0.333333334", "0.333333333"), same_output("10000001", "10000002")
    (True, True, False)
    """
    lines, wanted = ([line.strip() for line in text.strip().split("\n")] for text in (printed, expected))
    return len(lines) == len(wanted) and all(map(lambda a, b: _same_line(a, b, tolerance), lines, wanted))


def _same_line(line: str, wanted: str, tolerance: float) -> bool:
    if line == wanted:
        return True
    words, targets = line.split(), wanted.split()
    if len(words) != len(targets) or not all(map(_NUMBER.fullmatch, [*words, *targets])):
        return False
    return all(map(lambda a, b: _same_number(a, b, tolerance), words, targets))


def _same_number(word: str, target: str, tolerance: float) -> bool:
    if Decimal(word) == Decimal(target):
        return True
    fraction = any(mark in target for mark in ".eE")
    return fraction and math.isclose(float(word), float(target), rel_tol=tolerance, abs_tol=tolerance)


def same_value(returned: Any, expected: str, tolerance: float = _RETURNED_TOLERANCE) -> bool:
    """Whether a returned value is the expected one, which is JSON: tuples are lists, sets and iterators are none.

    >>> same_value([1, (2.0000001,)], "[1, [2.0]]"), same_value(1, "2"), same_value("a", '"b"'), same_value({1}, "[1]")
    (True, False, False, False)
    """
    try:
        return _close(returned, json.loads(expected, parse_int=_whole), tolerance)
    except RecursionError:
        return False


def _whole(digits: str) -> int:
    """A whole number of any length, where Python's own reading stops at 4,300 digits."""
    return int(digits) if len(digits) < 4000 else int(Decimal(digits))


def _close(value: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(map(_close, value, wanted, [tolerance] * len(wanted)))
        )
    if isinstance(wanted, float) and isinstance(value, int | float):
        return math.isclose(value, wanted, rel_tol=tolerance, abs_tol=tolerance)
    return bool(value == wanted)


def _equal_output(printed: str, expected: str) -> bool:
    return same_output(printed, expected, 0.0)


def _equal_value(returned: Any, expected: str) -> bool:
    return same_value(returned, expected, 0.0)


DATASET = Dataset(
    name="livecodebench",
    title="LiveCodeBench (release 6)",
    domain="Code",
    # No sha256 of these files is published outside the hub; the first load records it.
    source=Source(
        place="hub",
        repository="livecodebench/code_generation_lite",
        revision="0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
        files=dict.fromkeys(_FILES, ""),
    ),
    licence="CC (the hub names no version)",
    citation="Jain et al. 2024, LiveCodeBench, arXiv:2403.07974",
    size=1055,
    shots=0,
    kind="code",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
)
