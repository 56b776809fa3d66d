"""What must hold of every scorer that reads an answer, whatever the answer: a right answer stays right in every form in
which models write it, another one in the same form is wrong, options in another order change nothing but their letters,
and text before the answer that holds no answer changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmrouterbench.checks.dataset import plain_instruments
from llmrouterbench.datasets import Instruments, dataset
from llmrouterbench.datasets import _languages as words
from llmrouterbench.datasets._own_scorers import choose_letter, close_number, equal_math, exact
from llmrouterbench.datasets.answers import SEVERAL, choice, visible
from llmrouterbench.datasets.equality import decided
from llmrouterbench.replies import Item, Score

pytestmark = pytest.mark.slow
few = settings(max_examples=max(settings().max_examples // 3, 1))
Scorer = Callable[[Item, str, Instruments], Score]

STATED = (
    "Answer: {}", "**Answer:** {}", "Answer: **{}**", "**Answer: {}**", "ANSWER: {}", "Answer:\n\n{}",
    "### Answer\n\n{}", "Final Answer: {}", "The answer is {}.", "The final answer is {}", "So the answer is: {}.",
    "The correct answer is {}.", "Thus the answer must be {}.", "The answer turns out to be {}.",
    "The answer to this question is {}.", "#### {}", "My final answer is {}.", "<answer>{}</answer>",
    "<answer>\n{}\n</answer>", "{{\"answer\": \"{}\"}}", "Answer = {}", "Answer → {}",
    "| Question | Answer |\n|---|---|\n| 1 | {} |", "The answer is not 0.5, but {}.",
    "Answer: {}\n\nI hope this helps!", "Answer: {}\n\nThis answer is consistent with what was given.",
    "<think>Perhaps it is something else.</think>Answer: {}",
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Answer: {}<|return|>",
    "答案：{}", "答案是 {}。", "最终答案是 **{}**。", "答え：{}", "正解は {} です。",
    "정답: {}", "정답은 {} 입니다.", "Respuesta: {}",
    "La respuesta es {}.", "Réponse : {}", "La réponse est {}.", "Antwort: {}", "Die Antwort lautet {}.",
    "Resposta: {}", "A resposta é {}.", "Ответ: {}", "Правильный ответ — {}", "الإجابة: {}", "الجواب هو {}",
    "\u200fالإجابة:\u200f {}", "उत्तर: {}", "Risposta: {}", "La risposta è {}.", "Đáp án: {}", "Cevap: {}",
    "Ａｎｓｗｅｒ：{}",
)  # fmt: skip
"""Forms of an answer, whatever it is."""
BOXED = (
    r"\boxed{{{}}}",
    r"$\boxed{{{}}}$",
    r"\[\boxed{{{}}}\]",
    r"\fbox{{{}}}",
    r"\boxed {{ {} }}",
    "\\boxed{{{}}}\n\nThis is the number of ways.",
)
LETTERED = (
    "{}", "({})", "**{}**", "{}.", "{})", "> {}", "`{}`", "Answer: ({})", "Answer: [{}]", "Answer: <{}>",
    "Answer: **({})**", "The answer is option {}.", "The correct option is {}.", "The best choice is ({}).",
    "So {} is correct.", "I would pick {}.", "I choose ({}).", "Therefore, {}.", "The answer seems to be {}.",
    "Answer: {} because the others fail", "The most appropriate answer among the given options is ({}).",
    "The answer is {}, since it fits.", r"\boxed{{\text{{{}}}}}", r"Answer: $\mathbf{{{}}}$", r"$\textsf{{{}}}$",
    r"\boxed{{\textbf{{({})}}}}", r"Answer: \(\mathrm{{{}}}\)", "Answer: {{\\bf {}}}", "The answer is ({}) as said.",
    "Answer:（{}）", "Answer: 【{}】", "所以选 {}", "故选{}。", "因此，正确答案是 ({})。", "正解は{}です。",
    "したがって、{}が正解です。",
    "정답은 {}입니다.", "따라서 {}가 정답입니다.", "La respuesta correcta es la {}.",
    "La bonne réponse est la {}.", "Die richtige Antwort ist {}.",
    "A resposta correta é a letra {}.", "Правильный ответ: вариант {}", "الإجابة الصحيحة هي ({})", "सही उत्तर {} है",
    "La risposta corretta è la {}.", "Đáp án đúng là {}.", "Doğru cevap {}", "{}\n\nIt fits; nothing else does.",
)  # fmt: skip
WORDS = (
    "We look at what was given and take it step by step; nothing is settled yet.",
    "First part: 12 of 40 remain, that is 30 %.",
    "- one thing\n- another thing\n\n1. then this\n2. then that",
    "> quoted words\n\n`code` and *emphasis*, $x + 1$ and \\(y\\).",
    "他们先看题目。まず考える。먼저 생각한다. Primero pensamos. Сначала подумаем.",
)
NOUNS = {noun.lower() for noun in (*words.OPTION, *words.VALUE, *words.CHOICE, *words.FOREIGN)}


def says_nothing(text: str) -> bool:
    """Whether a text has no noun that announces an answer, and is no letter or digit alone."""
    low = text.lower()
    return not any(noun in low for noun in NOUNS) and not re.fullmatch(r"[\W_]*\w[\W_]*", text)


plain_text = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|◁▷\\{}`*\"'#$"), max_size=80).filter(
    says_nothing
)
neutral = st.lists(st.sampled_from(WORDS) | plain_text, max_size=4).map(
    lambda parts: "".join(f"{part}\n\n" for part in parts)
)
TOOLS = plain_instruments()
MATHS = Instruments(lambda one, other: decided(one, other) is True, TOOLS.run, TOOLS.ask)


def value(scorer: Scorer, target: Any, reply: str, details: dict[str, Any] | None = None, subset: str = "") -> float:
    return scorer(Item("item", "?", target, subset, details or {}), reply, MATHS).value


# --- letters ---------------------------------------------------------------------------------------------------------

TEXTS = (
    "red",
    "decreased renal blood flow",
    "x + 1",
    "x - 1",
    "$e^{-x}$",
    "none of these",
    "12 m/s",
    "a rise in pH",
    "No",
    "Vitamin C",
)
KEYS = "ABCDEFGHIJ"
LETTER_SCORERS = ("mmlupro", "gpqa", "medqa", "mathbench", "emorynlp", "meld", "bbh", "own")


def letter_scorer(name: str) -> tuple[Scorer, Callable[[Sequence[str]], dict[str, Any]]]:
    if name == "own":
        return choose_letter, lambda texts: {"options": list(texts)}
    return dataset(name).score, lambda texts: {"options": dict(zip(KEYS, texts, strict=False))}


@pytest.mark.parametrize("name", LETTER_SCORERS)
@few
@given(st.sampled_from((*STATED, *BOXED, *LETTERED)), st.sampled_from(KEYS), st.sampled_from(KEYS), neutral)
def test_a_letter_is_read_in_every_form(name: str, form: str, right: str, said: str, before: str) -> None:
    scorer, details = letter_scorer(name)
    reply = form.format(said)
    assert value(scorer, right, reply, details(TEXTS)) == (right == said)
    if form != "{}\n\nIt fits; nothing else does.":  # the first line of a reply
        assert value(scorer, right, before + reply, details(TEXTS)) == (right == said)


@few
@given(st.sampled_from(STATED[:20]), st.permutations(TEXTS), st.integers(0, 9))
def test_an_option_is_known_by_its_own_words_in_any_order(form: str, texts: Sequence[str], at: int) -> None:
    options = dict(zip(KEYS, texts, strict=True))
    assert choice(visible(form.format(texts[at])), options).letter == KEYS[at]
    assert choice(f"{texts[at]}.", options).letter == KEYS[at]
    assert choice(f"Answer: {KEYS[at]}. {texts[at]}", options).letter == KEYS[at]
    assert choice(f"Answer: {texts[at]} ({KEYS[at]})", options).letter == KEYS[at]


@few
@given(
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.sampled_from(("{} or {}", "({}) and ({})", "{}/{}", "either {} or {}")),
)
def test_two_letters_in_one_answer_are_none(one: str, other: str, form: str) -> None:
    assume(one != other and not (form[0] == "{" and one in "AI"))
    assert choice(f"Answer: {form.format(one, other)}", dict(zip(KEYS, TEXTS, strict=True))).letter in (SEVERAL, "")


DENIALS = (
    "The answer is not {}.", "The answer isn't {}.", "I do not think the answer is {}.",
    "If the answer were {}, we would see it.", "Could the answer be {}?", "Some may say \"the answer is {}\".",
    "A tempting but wrong answer is {}.", "答案不是{}", "La respuesta no es {}.", "La réponse n'est pas {}.",
    "Die Antwort ist nicht {}.", "答えは{}ではありません。", "정답은 {}가 아닙니다.",
)  # fmt: skip


@few
@given(st.sampled_from(DENIALS), st.sampled_from(KEYS), st.sampled_from("BCDEFGH"), st.booleans())
def test_a_denial_a_condition_a_question_or_a_quotation_is_no_answer(
    form: str, denied: str, said: str, after: bool
) -> None:
    options = dict(zip(KEYS, TEXTS, strict=True))
    assert choice(form.format(denied), options).letter == ""
    parts = [form.format(denied), f"Answer: {said}"]
    assert choice("\n\n".join(parts if after else parts[::-1]), options).letter == said


@few
@given(st.sampled_from(KEYS), st.sampled_from(KEYS))
def test_different_marks_are_said(first: str, last: str) -> None:
    found = choice(f"Answer: {first}\n\n\\boxed{{{last}}}", dict(zip(KEYS, TEXTS, strict=True)))
    assert found.letter == last
    assert bool(found.note) == (first != last)


# --- mathematics -----------------------------------------------------------------------------------------------------


def spellings(number: Fraction) -> list[str]:
    over, under = number.numerator, number.denominator
    if under == 1:
        return [
            str(over),
            f"{over:,}",
            f"{over}.0",
            f"\\text{{{over}}}",
            f"\\mathbf{{{over}}}",
            f"{over}\\text{{ cm}}",
            f"x = {over}",
            f"{over} apples",
        ]
    sign = "-" if over < 0 else ""
    return [
        f"{over}/{under}",
        rf"\frac{{{over}}}{{{under}}}",
        rf"{sign}\dfrac{{{abs(over)}}}{{{under}}}",
        rf"x = \frac{{{over}}}{{{under}}}",
        rf"\left(\frac{{{over}}}{{{under}}}\right)",
        rf"\frac{{{3 * over}}}{{{3 * under}}}",
    ]


numbers = st.fractions(-10_000, 10_000, max_denominator=60).filter(
    lambda number: number.denominator != 1
) | st.integers(-(10**9), 10**9).map(Fraction)
MATH_SCORERS: dict[str, Scorer] = {
    **{name: dataset(name).score for name in ("aime", "math500", "livemathbench")}, "own": equal_math
}  # fmt: skip


@pytest.mark.parametrize("name", MATH_SCORERS)
@few
@given(st.sampled_from((*STATED, *BOXED)), numbers, st.data(), neutral)
def test_mathematics_is_read_in_every_form(
    name: str, form: str, number: Fraction, data: st.DataObject, before: str
) -> None:
    target, said = (data.draw(st.sampled_from(spellings(number))) for _ in range(2))
    other = data.draw(st.sampled_from(spellings(number + 1)))
    assert value(MATH_SCORERS[name], target, before + form.format(said)) == 1
    assert value(MATH_SCORERS[name], target, before + form.format(other)) == 0


SAME = (
    (r"\sqrt{2}", "√2", r"\sqrt2", "sqrt(2)"), (r"\frac{\sqrt{2}}{2}", "√2/2", r"\frac{√2}{2}"),
    ("x^2+1", "x²+1", "$x^{2} + 1$"), (r"\frac{1}{2}", "½", "0.5", "50\\%", r"\frac12", "1/2"),
    (r"\frac52", "2 1/2", "2½", r"2\frac{1}{2}", "2.5"),
    (r"0.\overline{27}", r"\frac{3}{11}", "0.(27)", "0.272727..."),
    ("1.2e-4", r"1.2\cdot10^{-4}", r"1.2 \times 10^{-4}", "0.00012", "1.2×10⁻⁴"),
    (r"\emptyset", r"\varnothing", "∅", r"\{\}"), ("1011_2", "1011_{2}", r"1011_{\text{two}}", "1011", "(1011)_2"),
    (r"2\pi", "2π", r"2 \pi"), ("90", "90^\\circ", "90°", r"90\text{ degrees}"), ("5", r"5\,\mathrm{m/s}"),
    ("5", "5 inches", r"5\text{ in}"), ("5", "5 units"),
    ("9", r"\text{The answer is }9", "nine", r"\mathbf{9}", r"\text{9}", "9."), ("3,5", r"3 \text{ and } 5", "3 or 5"),
    (r"\text{east}", "east", r"\textbf{East}"), ("1000000", "1,000,000", r"1\,000\,000", "1 million", "10^6"),
    (r"x \ge 2", "x≥2", r"x\geq 2"), ("-5", "−5", "- 5"),
)  # fmt: skip
"""Answers that are the same; each against each needs no algebra, but for the last two."""
DIFFERENT = (
    (r"4\sqrt{2}", "4"), (r"4\sqrt2", "4"), ("4√2", "4"), ("3m", "3"), ("3m", "m"), ("7x", "7"),
    ("1011_2", "1011_{10}"), ("12_5", "12_6"), (r"0.\overline{3}", "0.3"), ("2 1/2", "21/2"), ("10^{-8}", "0"),
    ("10^{-8}", "10^{-9}"), (r"5\text{ cm}", r"5\text{ m}"), (r"\$5", r"5\text{ cents}"), ("x²", "x2"),
    ("e^{x}", "e^{-x}"), ("-5", "5"), ("1.5", "15"), ("3 million", "3"), ("5!", "5"), ("2^{10}", "210"),
    (r"\frac{2^{2005}+1}{3 \cdot 2^{2006}}", r"\frac{1}{3 \cdot 2^{2006}}"), ("1e-10", "0"), ("a", "b"),
    ("x=3", "y=3"),
)  # fmt: skip


@few
@given(st.sampled_from(SAME[:-2]), st.data())
def test_spellings_of_one_answer_are_equal(same: Sequence[str], data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(same)) for _ in range(2))
    assert decided(one, other) in (True, None)
    assert decided(f"${one}$", other) == decided(one, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_means_something_else_is_not_equal(one: str, other: str) -> None:
    assert decided(one, other) in (False, None)
    assert decided(other, one) == decided(one, other)


# --- numbers ---------------------------------------------------------------------------------------------------------

NUMBERED = ("{} dollars in all", "about {}", "x = {}", "$ {}", "1 + 1 = {}")


@few
@given(
    st.sampled_from((*STATED, *BOXED)),
    st.sampled_from(("{}", *NUMBERED)),
    st.integers(2, 10**9),
    st.integers(0, 3),
    neutral,
)
def test_a_number_is_read_in_every_form(form: str, spelling: str, number: int, decimals: int, before: str) -> None:
    target = number / 10**decimals
    said, other = (form.format(spelling.format(f"{each:,.{decimals}f}")) for each in (target, target * 2 + 1))
    exact_target = {"answer": f"{target:.{decimals}f}", "exact": round(target, 5)}
    assert value(close_number, target, before + said) == 1
    assert value(close_number, target, before + other) == 0
    assert value(dataset("finqa").score, exact_target, before + said) == 1
    assert value(dataset("finqa").score, exact_target, before + other) == 0


@few
@given(
    st.sampled_from((*STATED, *BOXED)),
    st.integers(-999, 999),
    st.sampled_from(("{}", "{} fruits", "3 + 4 = {}", "You have {} fruits")),
    neutral,
)
def test_a_count_is_read_in_every_form(form: str, count: int, spelling: str, before: str) -> None:
    score = dataset("bbh").score
    assert value(score, str(count), before + form.format(spelling.format(count)), subset="object_counting") == 1
    assert value(score, str(count), before + form.format(spelling.format(count + 1)), subset="object_counting") == 0


# --- words -----------------------------------------------------------------------------------------------------------

NAMES = (
    "St. Louis",
    "J. R. R. Tolkien",
    "C#",
    "C",
    "C++",
    "-5 °C",
    "5 °C",
    "Paris",
    "the Eagles",
    "Mary O'Neill",
    "3.5",
    "35",
    "Node.js",
    "R&B",
    "Dr. No",
)
LABELLED = tuple(form for form in STATED if "not 0.5" not in form)


@few
@given(st.sampled_from((*LABELLED, *BOXED[:2], "{}")), st.sampled_from(NAMES), st.sampled_from(NAMES), neutral)
def test_a_name_is_read_in_every_form(form: str, target: str, said: str, before: str) -> None:
    reply = form.format(said)
    assert value(exact, target, reply if form == "{}" else before + reply) == (target == said)


@pytest.mark.parametrize("pair", [("yes", "no"), ("true", "false"), ("valid", "invalid")])
@few
@given(
    st.sampled_from((*LABELLED, *BOXED)),
    st.integers(0, 1),
    st.booleans(),
    st.sampled_from(("{}", r"\text{{{}}}", "**{}**")),
    neutral,
)
def test_one_of_two_words_is_read_in_every_form(
    pair: tuple[str, str], form: str, at: int, capital: bool, spelling: str, before: str
) -> None:
    said = spelling.format(pair[at].capitalize() if capital else pair[at])
    assert value(dataset("bbh").score, pair[at], before + form.format(said)) == 1
    assert value(dataset("bbh").score, pair[1 - at], before + form.format(said)) == 0


LISTS = (
    "{0} {1} {2}",
    "{0}, {1}, {2}",
    "['{0}', '{1}', '{2}']",
    "\n{0}\n{1}\n{2}",
    "\n1. {0}\n2. {1}\n3. {2}",
    "\n- {0}\n- {1}\n- {2}",
    "{0} → {1} → {2}",
)


@few
@given(st.sampled_from(LISTS), st.permutations(["ant", "bee", "cow"]), neutral)
def test_a_list_of_words_is_read_in_every_form(form: str, said: Sequence[str], before: str) -> None:
    reply = f"{before}Answer: {form.format(*said)}"
    assert value(dataset("bbh").score, "ant bee cow", reply) == (list(said) == ["ant", "bee", "cow"])


CONCLUSIONS = (
    "CONCLUSION:\n{}", "**CONCLUSION:**\n{}", "So the solution is:\n{}", "### Final Answer\n{}",
    "<answer>\n{}\n</answer>", "{}",
    "CONCLUSION:\n{}\n\nVerification: Ann claims that Bo is a knight, which is false if he is a knave.",
)  # fmt: skip
ROLES = (
    "({0}) {1} is a {2}", "{0}. **{1}** is a **{2}**.", "- {1}: {2}", "({0}) <{1}> is a <{2}>", "{0}) {1} – {2}",
    "* {1} → {2}",
)  # fmt: skip


@few
@given(
    st.sampled_from(CONCLUSIONS),
    st.sampled_from(ROLES),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.integers(0, 2),
    neutral,
)
def test_a_conclusion_is_read_in_every_form(form: str, role: str, knights: list[bool], wrong: int, before: str) -> None:
    def reply(told: Sequence[bool]) -> str:
        lines = [
            role.format(at, name, "knight" if knight else "knave")
            for at, (name, knight) in enumerate(zip(names, told, strict=True), 1)
        ]
        return before + form.format("\n".join(lines))

    names = ("Ann", "Bo", "Cliff")
    target = {name: "knight" if knight else "knave" for name, knight in zip(names, knights, strict=True)}
    assert value(dataset("kandk").score, target, reply(knights)) == 1
    assert (
        value(dataset("kandk").score, target, reply([knight != (at == wrong) for at, knight in enumerate(knights)]))
        == 0
    )


BRACKETED = (
    "[[{}]]",
    "So: [[ {} ]]",
    "**[[{}]]**",
    "\\[[[{}]]\\]",
    "[[{}]] in the form [[answer]].",
    r"\boxed{{{}}}",
    "```\n[[{}]]\n```",
    "[[${}$]]",
    "[{}]",
)


@few
@given(
    st.sampled_from(BRACKETED),
    st.sampled_from(["7", "x+1", r"2\sqrt{2}", "1/3"]),
    st.sampled_from(["7", "x+1", r"2\sqrt{2}", "1/3"]),
    neutral,
)
def test_brackets_are_read_in_every_form(form: str, target: str, said: str, before: str) -> None:
    item = {"rule_id": "1"}
    assert value(dataset("korbench").score, f"[[{target}]]", before + form.format(said), item, "operation") == (
        target == said
    )
