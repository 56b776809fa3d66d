"""Reading answers: the forms that models write, hostile replies, and time that grows with the reply alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.datasets._numbers import last_number, number, parts, plain, rows
from llmrouterbench.datasets.answers import (
    SEVERAL,
    boxed,
    final,
    final_number,
    letter,
    same_phrase,
    same_words,
    stated,
    visible,
)
from work import deadline

OPTIONS = {"A": "red", "B": "green", "C": "blue", "D": "grey"}
LATIN = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|◁▷"), max_size=200)


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("**Answer:** C", "C"),
        ("Answer: **C**", "C"),
        ("Answer: (C)", "C"),
        ("The answer is (C)", "C"),
        (r"\boxed{\text{C}}", "C"),
        (r"\boxed{\textbf{(B)} \ green}", "B"),
        ("Answer: c", "C"),
        ("Answer: Because it is", None),
        ("The correct answer is option B.", "B"),
        ("**Final Answer**\n\nB", "B"),
        ("the best choice is B", "B"),
        ("The answer to the question is D", "D"),
        ("Answer: A or B", SEVERAL),
        ("Answer: A/B", SEVERAL),
        ("The answer is not C.", None),
        ("The answer is a matter of taste", None),
        ("Answer: A patient needs rest", None),
        ("The answer is A because the others fail", "A"),
        ("Answer: K", "K"),
        ("Answer: B.\n\nLet me know if you want another answer!", "B"),
        ("Answer: B\nso \\boxed{A}", "A"),
        ("\\boxed{A}\nHmm, so the answer is B.", "B"),
        ("<answer>C</answer>", "C"),
        ("答案：B", "B"),
        ("Option B is the best.", "B"),
        ("blue", "C"),
        ("", None),
    ],
)
def test_letters(reply: str, chosen: str | None) -> None:
    assert letter(reply, OPTIONS) == chosen


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The answer is 5 because of x", "5"),
        ("The answer to 3+4 is 7.", "7"),
        ("#### 42", "42"),
        ("Final Answer: The final answer is $5$. I hope it is correct.", "5"),
        ("<answer>7</answer>", "7"),
        ("ANSWER: 3.14.", "3.14"),
        ("Answer:\n\n$$\\frac{1}{2}$$", "\\frac{1}{2}"),
        ("The final answer is: $\\boxed{77}$", "77"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed 5", "5"),
        (r"\boxed{1} \boxed{}", "1"),
        (r"\boxed{1} \boxed{2", "1"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("I do not know.", None),
        ("#### -3", "-3"),
        ("Answer - yes", "yes"),
        ("<answer>Islam</answer>", "Islam"),
        ("<answer>beloved</answer>", "beloved"),
        ("<answer> Hugh S. Johnson </answer>", "Hugh S. Johnson"),
        ("<answer>Paris\nand", "Paris"),
        ("ANSWERED: no. Unanswered: 4. answer_2: 5", None),
        ("İstanbul. Answer: İzmir", "İzmir"),
    ],
)
def test_final_answers(reply: str, answer: str | None) -> None:
    assert final(reply) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234),
        ("−5%", Fraction(-1, 20)),
        ("(12.3)", Fraction(-123, 10)),
        ("-$3.2 million", -3_200_000),
        ("1.2e-3", Fraction(12, 10_000)),
        (r"1.2 \times 10^{3}", 1200),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"93.5\%", Fraction(935, 1000)),
        ("x = 2 apples", 2),
        (".5", Fraction(1, 2)),
        (r"\$1{,}234", 1234),
    ],
)
def test_numbers(text: str, value: Fraction | int) -> None:
    found = number(text)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("#### Jackson is 4 years old.", 4),
        ("Answer: The animals have a total of 160 legs.", 160),
        ("#### -15\n\n(The answer is negative because she loses.)", -15),
        ("#### $20.00", 20),
        (r"The answer is 3. So \boxed{7 \text{ m}}", 7),
        ("She has 3 of 12, so 9 are left.", 9),
        ("Answer: none", None),
    ],
)
def test_the_number_a_reply_ends_in(reply: str, value: int | None) -> None:
    found = final_number(reply)
    assert (None if found is None else found.value) == value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The Dome of the Rock", "dome of the rock", True),
        ("a noble gas", "Noble gas.", True),
        ("p-a-d-a-w-a-n", "Padawan", True),
        ("weight bearing", "weight-bearing", True),
        ("A", "a", True),
        ("the", "", False),
        ("10 5", "105", False),
        ("the cat", "cats", False),
    ],
)
def test_phrases(one: str, other: str, same: bool) -> None:
    assert same_phrase(one, other) == same == same_phrase(other, one)


def test_a_letter_with_its_options_words_is_that_letter() -> None:
    options = {"A": "dog", "I": "cat"}
    assert letter("A dog", options) == "A"
    assert letter("A dog barks", options) is None
    assert letter("Answer: I) Cat.", options) == "I"


def test_what_is_no_number() -> None:
    assert number("none") is None
    assert last_number("none") is None


def test_precision_and_percent_are_kept() -> None:
    found = number("12.50%")
    assert found is not None
    assert (found.decimals, found.percent, found.written) == (2, True, Fraction(25, 2))


def test_lists_and_tables() -> None:
    assert parts("1, (2, 3), 1,250 and x") == ["1", "(2, 3)", "1,250", "x"]
    assert parts(r"\left[ a; b \right]") == ["a", "b"]
    assert rows("| a | 1 |\n|---|:-:|\n| b | 2 |") == [["a", "1"], ["b", "2"]]
    assert rows("a\t1\nb\t2") == [["a", "1"], ["b", "2"]]


@pytest.mark.parametrize("opening", ["<think>", "<THINK>", "<thinking>", "<|begin_of_thought|>", "[THINK]", "◁think▷"])
def test_thoughts_of_every_make(opening: str) -> None:
    closing = {"<|begin_of_thought|>": "<|end_of_thought|>", "[THINK]": "[/THINK]", "◁think▷": "◁/think▷"}.get(
        opening, opening.replace("<", "</")
    )
    assert visible(f"a{opening}b{closing}c") == "ac"
    assert visible(f"b{closing}c") == "c"
    assert visible(f"{opening}b") == visible(f" \n{opening}b") == ""
    assert visible(f"a{opening}b") == f"a{opening}b"


@given(LATIN, LATIN)
def test_a_thought_never_shows(thought: str, said: str) -> None:
    assert visible(f"<think>{thought}</think>{said}") == said
    assert visible(f"<think>{thought}") == ""
    assert visible(said) == said


@given(st.text(max_size=100), st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_the_last_letter_wins(before: str, first: str, last: str) -> None:
    assert letter(f"{before}\nAnswer: {first}\n\nAnswer: {last}", OPTIONS) == last


@given(
    st.recursive(st.sampled_from(["1", "x"]), lambda inner: inner.map(lambda s: rf"\frac{{{s}}}{{2}}"), max_leaves=8)
)
def test_boxes_keep_their_braces(content: str) -> None:
    assert boxed(rf"so \boxed{{{content}}}.") == content


@given(st.integers(-(10**12), 10**12))
def test_thousands_are_read_back(value: int) -> None:
    found, anywhere = number(f"{value:,}"), last_number(f"It is {value:,}.")
    assert found is not None
    assert anywhere is not None
    assert found.value == anywhere.value == value


@given(st.text(st.characters(exclude_categories=()), max_size=500))
def test_any_text_is_survived(text: str) -> None:
    for read in READERS:
        read(text)


def of_options(text: str) -> str | None:
    return letter(text, OPTIONS)


def like_red(text: str) -> bool:
    return same_words(text, "red")


READERS: list[Callable[[str], object]] = [
    visible, boxed, stated, final, of_options, last_number, number, parts, plain, rows, like_red
]  # fmt: skip
BOMBS = {
    "answers": "answer: " * 1_250_000,
    "boxes": "\\boxed{" * 1_430_000,
    "braces": "\\boxed{" + "{" * 10_000_000,
    "lines": "\n" * 10_000_000,
    "blanks": "answer" + " " * 10_000_000,
    "angles": "<" * 10_000_000,
    "thoughts": "<think>" * 1_430_000,
    "digits": "1" * 10_000_000,
    "commas": "1," * 5_000_000,
    "stars": "answer" + "*" * 10_000_000,
    "prose": "some words here " * 625_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_ten_megabytes_are_read(bomb: str) -> None:
    for read in READERS:
        with deadline():
            read(BOMBS[bomb])
