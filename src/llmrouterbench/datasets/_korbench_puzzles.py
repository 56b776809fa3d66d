"""The KORBench puzzles: comparison with the reference, and the rules of puzzles that have several right solutions.

Nothing of a reply is ever executed: arithmetic goes through `value`, a parser of + - * / and parentheses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction

Grid = list[list[str]]
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[+*/()-]")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*"})
_LONGEST = 200


def value(text: str) -> Fraction | None:
    """The exact value of numbers joined by + - * / and parentheses; None for any other text and for division by zero.

    >>> value("(5 + 1) × (9 - 5)"), value("8/(3-8/3)"), value("1/0"), value("__import__('os')")
    (Fraction(24, 1), Fraction(24, 1), None, None)
    """
    plain = "".join(text.translate(_SIGNS).split())
    tokens = _TOKEN.findall(plain)
    if not plain or len(plain) > _LONGEST or "".join(tokens) != plain:
        return None
    try:
        result = _sum(tokens)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return result if not tokens else None


def _sum(tokens: list[str]) -> Fraction:
    total = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign = 1 if tokens.pop(0) == "+" else -1
        total += sign * _product(tokens)
    return total


def _product(tokens: list[str]) -> Fraction:
    total = _factor(tokens)
    while tokens and tokens[0] in "*/":
        operator, factor = tokens.pop(0), _factor(tokens)
        total = total * factor if operator == "*" else total / factor
    return total


def _factor(tokens: list[str]) -> Fraction:
    token = tokens.pop(0)
    if token in "+-":
        return _factor(tokens) * (1 if token == "+" else -1)
    if token != "(":
        return Fraction(token)
    inside = _sum(tokens)
    if tokens.pop(0) != ")":
        raise ValueError("a parenthesis must be closed")
    return inside


def same_puzzle(rule: str, question: str, answer: str, reply: str, wrong: bool = False) -> bool:
    r"""Whether a reply solves a puzzle: it obeys the rule where that can be checked, else it is the reference.

    wrong  whether the reference is known to break its own rule; then only the rule counts

    >>> same_puzzle("10", "4 5 1 7\n...", "1+(7*4-5)", "4 × 7 - 5 + 1 = 24")
    True
    """
    if len(reply) > 20 * len(answer) + 1000:
        return False
    obeys = RULES.get(rule)
    if obeys is not None and (wrong or obeys(question, reply) or obeys(question, answer)):
        return obeys(question, reply)
    return "".join(answer.split()) == "".join(reply.split()) or COMPARED.get(rule, _same_tokens)(answer, reply)


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:[.'][^\W_]+)*|[←-↙○]", text.casefold())


def _same_tokens(answer: str, reply: str) -> bool:
    """The same words, numbers and arrows in the same order; cells of one letter may stand without blanks between."""
    wanted, said = _tokens(answer), _tokens(reply)
    cells = max(map(len, wanted), default=0) == 1
    return bool(wanted) and (said == wanted or (cells and "".join(said) == "".join(wanted)))


def _same_letters(answer: str, reply: str) -> bool:
    wanted, said = (re.sub(r"[^a-z]", "", text.casefold()) for text in (answer, reply))
    return bool(said) and said == wanted


def _one_of(answer: str, reply: str) -> bool:
    """One of the reference's alternatives; never a part of one, and never nothing."""
    said = re.sub(r"[^a-z]", "", reply.casefold())
    return said in {word for part in answer.casefold().split(",") for word in re.findall(r"[a-z]+", part)}


def _same_words(answer: str, reply: str) -> bool:
    wanted, said = (Counter(re.findall(r"[^\W_]+", text.casefold())) for text in (answer, reply))
    return bool(wanted) and said == wanted


def _same_values(answer: str, reply: str) -> bool:
    wanted, said = _letters(answer), _letters(reply)
    return bool(wanted) and said == wanted


def _same_stars(answer: str, reply: str) -> bool:
    return bool(_zones(answer)) and _zones(reply) == _zones(answer)


def _zones(text: str) -> list[tuple[str, frozenset[tuple[int, ...]]]]:
    parts = re.findall(r"([A-Za-z])[\s:]*((?:\(\s*\d+\s*,\s*\d+\s*\)[\s,;]*)+)", text)
    return sorted((zone.upper(), frozenset(_cells(places))) for zone, places in parts)


def _same_dominoes(answer: str, reply: str) -> bool:
    wanted, said = (_dominoes(text) for text in (answer, reply))
    return bool(wanted) and said == wanted


def _dominoes(text: str) -> set[frozenset[tuple[int, ...]]]:
    cells = _cells(text)
    return {frozenset(cells[at : at + 2]) for at in range(0, len(cells), 2)}


def _cells(text: str) -> list[tuple[int, ...]]:
    return [(int(row), int(column)) for row, column in re.findall(r"\(\s*(\d{1,3})\s*[,.]\s*(\d{1,3})\s*\)", text)]


def _letters(text: str) -> dict[str, str]:
    return dict(re.findall(r"\b([A-Za-z])\s*=\s*(\d)\b", text))


def _sums_up(question: str, reply: str) -> bool:
    """Rule 5: different digits for the letters make every equation of the question true, no number starts with 0."""
    equations = [
        "".join(line.split()).rstrip(".")
        for line in question.splitlines()
        if re.fullmatch(r"[A-Za-z\s+*×/÷()=−-]+=[A-Za-z\s]+\.?\s*", line)
    ]
    digits = _letters(reply)
    used = set(re.findall(r"[A-Za-z]", "".join(equations)))
    if not equations or used != set(digits) or len(set(digits.values())) < len(digits):
        return False
    numbers = [number for equation in equations for number in re.findall(r"[A-Za-z]{2,}", equation)]
    sides = [
        [value(side.translate({ord(sign): digit for sign, digit in digits.items()})) for side in equation.split("=")]
        for equation in equations
    ]
    return all(digits[number[0]] != "0" for number in numbers) and all(
        None not in both and len(set(both)) == 1 for both in sides
    )


def _finds_words(question: str, reply: str) -> bool:
    """Rule 8: every word of the list stands on a straight line between the cells that the reply names."""
    above, _, _ = question.partition("Word List")
    grid = [
        list("".join(line.split())) for line in above.splitlines() if re.fullmatch(r"\s*[A-Z](?:\s*[A-Z])+\s*", line)
    ]
    listed = re.search(r"word list:?\s*\n([^\n]+)", question, re.IGNORECASE)
    words = re.findall(r"[A-Z]+", listed[1].upper()) if listed else []
    return bool(grid and words) and all(_stands(word, grid, reply) for word in words)


def _stands(word: str, grid: Grid, reply: str) -> bool:
    found = re.search(rf"\b{word}\b[\s:]*((?:\(\s*\d+\s*,\s*\d+\s*\)\s*){{2}})", reply, re.IGNORECASE)
    if not found:
        return False
    (top, left), (bottom, right) = _cells(found[1])
    steps = len(word) - 1
    down, across = (bottom - top) / max(steps, 1), (right - left) / max(steps, 1)
    if {down, across} - {-1.0, 0.0, 1.0}:
        return False
    line = [(top - 1 + int(down) * step, left - 1 + int(across) * step) for step in range(len(word))]
    inside = all(0 <= row < len(grid) and 0 <= column < len(grid[row]) for row, column in line)
    return inside and "".join(grid[row][column] for row, column in line) == word


def _fills_path(question: str, reply: str) -> bool:
    """Rule 9: the question's line with a digit for every "?", and true."""
    left, _, right = "".join(question.partition("\n")[0].translate(_SIGNS).split()).partition("=")
    said = "".join(reply.translate(_SIGNS).split()).partition("=")[0]
    pattern = re.escape(left).replace(r"\?", "[0-9]")
    wanted = value(right)
    return wanted is not None and re.fullmatch(pattern, said) is not None and value(said) == wanted


def _makes_24(question: str, reply: str) -> bool:
    """Rule 10: an expression of exactly the question's numbers with the value 24; of several, one a line, all are."""
    listed = re.search(r"(?m)^\D*((?:\d+[ ,.]*){4})$", question)
    numbers = Counter(re.findall(r"\d+", listed[1])) if listed else Counter()
    said = [line.strip(" .").split("=") for line in reply.splitlines() if line.strip()]
    return bool(numbers and said) and all(
        Counter(re.findall(r"\d+", sides[0])) == numbers and all(value(side) == 24 for side in sides) for sides in said
    )


def _given(question: str) -> Grid:
    """The question's first lines of numbers and X."""
    rows: Grid = []
    for line in question.splitlines():
        cells = line.split()
        if cells and all(re.fullmatch(r"X[a-z]?|\d+", cell) for cell in cells):
            rows.append([cell[0] if cell[0] == "X" else cell for cell in cells])
        elif rows and cells:
            break
    return rows


def _filled(reply: str, given: Grid) -> list[list[int]]:
    """The reply's numbers, [] where its shape is another or a given number was changed.

    Digits need no blanks between them where all numbers are digits. A row of the question with one cell too many says
    only in which order its numbers stand.
    """
    width = min(map(len, given), default=0)
    rows = [row.split() for row in re.split(r"[,\n]", reply) if row.strip()]
    rows = [list("".join(row)) if len(row) != width and len("".join(row)) == width else row for row in rows]
    fits = [len(row) for row in rows] == [width] * len(given) and all(
        all(cell.isdigit() for cell in row) and _keeps(row, was) for row, was in zip(rows, given, strict=True)
    )
    return [[int(cell) for cell in row] for row in rows] if fits else []


def _keeps(row: list[str], given: list[str]) -> bool:
    """Whether a row has the question's numbers where the question has them."""
    if len(row) == len(given):
        return all(old in ("X", said) for said, old in zip(row, given, strict=True))
    left = iter(row)
    return all(old in left for old in given if old != "X")


def _columns(rows: list[list[int]]) -> list[list[int]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _survo(question: str, reply: str) -> bool:
    """Rule 11: each of 1 to the number of cells once, with the given sums of rows and columns."""
    lines = _given(question)
    if len(lines) < 2 or any(len(line) != len(lines[-1]) + 1 for line in lines[:-1]):
        return False
    rows = _filled(reply, [line[:-1] for line in lines[:-1]])
    once = sorted(number for row in rows for number in row) == list(range(1, sum(map(len, rows)) + 1))
    across = [str(sum(row)) for row in rows] == [line[-1] for line in lines[:-1]]
    return bool(rows) and once and across and [str(sum(column)) for column in _columns(rows)] == lines[-1]


def _kakurasu(question: str, reply: str) -> bool:
    """Rule 12: the positions of the blackened cells add up to the given sums."""
    lines = _given(question)
    cells = [re.findall(r"[X1x0]", row) for row in re.split(r"[,\n]", reply) if row.strip()]
    rows = [[int(cell == "1") for cell in row] for row in cells]
    if len(lines) < 2 or [len(row) + 1 for row in rows] != [len(line) for line in lines[:-1]]:
        return False
    if len(rows[0]) != len(lines[-1]) or any(len(row) != len(rows[0]) for row in rows):
        return False
    across = [str(sum(at * cell for at, cell in enumerate(row, 1))) for row in rows]
    down = [str(sum(at * cell for at, cell in enumerate(column, 1))) for column in _columns(rows)]
    return across == [line[-1] for line in lines[:-1]] and down == lines[-1]


def _numbrix(question: str, reply: str) -> bool:
    """Rule 13: each number once, and next to the one before it."""
    rows = _filled(reply, _given(question))
    place = {number: (r, c) for r, row in enumerate(rows) for c, number in enumerate(row)}
    if not rows or sorted(place) != list(range(1, sum(map(len, rows)) + 1)):
        return False
    steps = ((place[number], place[number + 1]) for number in range(1, len(place)))
    return all(abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1 for a, b in steps)


def _latin(rows: list[list[int]]) -> bool:
    """Whether every row and column of a square holds 1 to n."""
    wanted = list(range(1, len(rows) + 1))
    square = bool(rows) and all(len(row) == len(rows) for row in rows)
    return square and all(sorted(line) == wanted for line in (*rows, *_columns(rows)))


def _sudoku(question: str, reply: str) -> bool:
    rows = _filled(reply, _given(question))
    boxes = [
        sorted(rows[r + i][c + j] for i in range(3) for j in range(3)) for r in (0, 3, 6) for c in (0, 3, 6)
    ] if len(rows) == 9 and _latin(rows) else []  # fmt: skip
    return bool(boxes) and all(box == list(range(1, 10)) for box in boxes)


def _futoshiki(question: str, reply: str) -> bool:
    """Rule 17: a Latin square that keeps the inequalities."""
    rows = _filled(reply, _given(question))
    if not _latin(rows):
        return False
    found = re.findall(r"\((\d),\s*(\d)\)\s*([<>])\s*\((\d),\s*(\d)\)", question)
    pairs = [(rows[int(a) - 1][int(b) - 1], sign, rows[int(c) - 1][int(d) - 1]) for a, b, sign, c, d in found]
    return bool(pairs) and all(one > other if sign == ">" else one < other for one, sign, other in pairs)


def _skyscrapers(question: str, reply: str) -> bool:
    """Rule 25: a Latin square of heights with the given numbers of visible buildings from all four sides."""
    lines = _given(question)
    if len(lines) < 3:
        return False
    top, *middle, bottom = lines
    rows = _filled(reply, [line[1:-1] for line in middle])
    if not _latin(rows):
        return False
    columns = _columns(rows)
    sides = [
        [_seen(line) for line in lines]
        for lines in (rows, [row[::-1] for row in rows], columns, [c[::-1] for c in columns])
    ]
    return sides == [[line[0] for line in middle], [line[-1] for line in middle], top, bottom]


def _seen(heights: list[int]) -> str:
    return str(sum(height > max(heights[:at], default=0) for at, height in enumerate(heights)))


COMPARED: Mapping[str, Callable[[str, str], bool]] = {
    "1": _same_letters,
    "2": _one_of,
    "3": _same_words,
    "4": _one_of,
    "5": _same_values,
    "19": _same_stars,
    "23": _same_dominoes,
}
"""Puzzle rule -> how a reply is compared with the reference; all others compare words, numbers and arrows in order."""
RULES: Mapping[str, Callable[[str, str], bool]] = {
    "5": _sums_up,
    "8": _finds_words,
    "9": _fills_path,
    "10": _makes_24,
    "11": _survo,
    "12": _kakurasu,
    "13": _numbrix,
    "15": _sudoku,
    "17": _futoshiki,
    "25": _skyscrapers,
}
"""Puzzle rule -> whether a reply obeys it, for puzzles that may have several right solutions."""
WRONG: Mapping[str, str] = {
    "puzzle-46": "gives the letter Y two digits and T none",
    "puzzle-49": "gives M no digit",
    "puzzle-74": "BASE does not stand at its coordinates",
    "puzzle-75": "DODO does not stand at its coordinates",
    "puzzle-76": "EGGPLANT and ONION do not stand at their coordinates",
    "puzzle-78": "AUSTIN, MIAMI, DALLAS and TAMPA do not stand at their coordinates",
    "puzzle-80": "STOCKADE and OUTPOST do not stand at their coordinates",
    "puzzle-84": "comes to 16, not to 28",
    "puzzle-104": "writes the sum of the first row into the row",
    "puzzle-105": "uses numbers twice, and 15 of twelve",
    "puzzle-116": "lacks the last row",
    "puzzle-118": "misses the sums of two rows and a column",
    "puzzle-123": "has 64 twice and no 74",
    "puzzle-124": "has 28 twice and no 18",
    "puzzle-163": "breaks (3,1)>(3,4)",
    "puzzle-169": "breaks (5,3)>(5,4)",
    "puzzle-247": "lacks a row",
    "puzzle-250": "has 1 twice in the first column",
}
"""Item -> how its reference breaks its own rule, though the puzzle has a solution; there only the rule counts."""
UNSOLVABLE: Mapping[str, str] = {
    "puzzle-77": "LEVEL does not stand in the grid",
    "puzzle-79": "ZING does not stand in the grid",
    "puzzle-101": "no numbers have the given sums",
    "puzzle-119": "the grid lacks a row",
    "puzzle-127": "25 is given twice",
    "puzzle-244": "the numbers of visible buildings contradict each other",
    "puzzle-248": "the numbers of visible buildings contradict each other",
}
"""Item -> why no answer obeys its rule as it is printed; there the reference counts."""
