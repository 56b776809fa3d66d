r"""One spelling for mathematical answers: LaTeX, plain text and the signs of Unicode come out alike, and nothing that
carries meaning is lost. A unit, a base and a name before "=" are taken apart from the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from llmrouterbench.datasets._characters import folded, without_fonts
from llmrouterbench.datasets._numbers import VULGAR, number_words
from llmrouterbench.datasets._rational import exact, without_repeats
from llmrouterbench.datasets._units import Unit, split_unit, unit_of

_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_SIGNS = str.maketrans({
    "−": "-", "–": "-", "‒": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": "/",
    "⁄": "/", "∕": "/", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ",
    "⊂": r"\subset ", "⊆": r"\subseteq ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "ℕ": r"\mathbb{N}",
    "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "…": r"\ldots ", "∠": r"\angle ", "∧": r"\land ",
    "∨": r"\lor ", "¬": r"\neg ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2005": " ", "′": "'", "º": "°",
    "ϕ": r"\phi ", "Γ": r"\Gamma ", "Δ": r"\Delta ", "Θ": r"\Theta ", "Λ": r"\Lambda ", "Ξ": r"\Xi ", "Π": r"\Pi ",
    "Σ": r"\Sigma ", "Φ": r"\Phi ", "Ψ": r"\Psi ", "Ω": r"\Omega ",
    **{chr(ord("α") + at): rf"\{name} " for at, name in enumerate(_GREEK)},
})  # fmt: skip
"""Signs of mathematics -> LaTeX."""
_HIGH, _LOW = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓ"
_RAISED = str.maketrans(_HIGH, "0123456789+-()nix")
_LOWERED = str.maketrans(_LOW, "0123456789+-()nx")
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_VULGAR = re.compile(f"[{''.join(VULGAR)}]")


def _from_signs(text: str) -> str:
    r"""Signs of mathematics in LaTeX: roots, fractions, powers, indices.

    >>> _from_signs("2√3 − x²⁄½")
    '2\\sqrt{3} - x^{2}/\\frac{1}{2}'
    """
    text = re.sub(rf"[{_HIGH}]+", lambda found: f"^{{{found[0].translate(_RAISED)}}}", text)
    text = re.sub(rf"[{_LOW}]+", lambda found: f"_{{{found[0].translate(_LOWERED)}}}", text)
    text = re.sub(
        r"([√∛∜])\s*(\(|\{|\d+(?:\.\d+)?|[a-zA-Zα-ω]|)",
        lambda found: _ROOTS[found[1]] + (found[2] if found[2] in ("(", "{", "") else f"{{{found[2]}}}"),
        text,
    )
    text = _VULGAR.sub(lambda found: r"\frac{{{}}}{{{}}}".format(*VULGAR[found[0]].split("/")), text)
    return text.translate(_SIGNS)


_SCALES = {
    "hundred": "100", "thousand": "10^{3}", "million": "10^{6}", "billion": "10^{9}", "trillion": "10^{12}",
    "dozen": "12",
}  # fmt: skip


def _scaled(found: re.Match[str]) -> str:
    return rf"\cdot {_SCALES[found[1].lower()]}"


def _scientific(found: re.Match[str]) -> str:
    mantissa, _, exponent = found[0].lower().partition("e")
    return rf"{mantissa}\cdot 10^{{{exponent.removeprefix('+')}}}"


def _unit_in_brackets(found: re.Match[str]) -> str:
    return f" {found[1]}" if unit_of(found[1]) else found[0]


def _joined(found: re.Match[str]) -> str:
    return re.sub(r"[, ]", "", found[0])


_Rule = tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]]
"""One of these, in small letters, is in every text that the pattern is in; what it is spelled as."""
_TEXT = re.compile(r"\\(?:text[a-z]*|mathrm|mbox|hbox)\s?\{|\\(?:rm|bf)(?![a-zA-Z])")
_BEFORE_FONTS: list[_Rule] = [
    (("\\", "{,"), re.compile(r"\\([$%#])|\{(,)\}"), r"\1\2"),
    (
        ("\\",),
        re.compile(r"\\(?:left|right|middle|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![a-zA-Z])\.?|\\!"),
        "",
    ),
    (("\\", "~"), re.compile(r"(?<!\\)\\(?:[,;:>/ ]|(?:quad|qquad|thinspace)(?![a-zA-Z])|hspace\{[^{}]*\})|~"), " "),
]
_AROUND: list[_Rule] = [
    (("\\",), re.compile(r"\\[()]|^\s*\\\[|\\\]\s*$"), ""),
    ((".", ";", ","), re.compile(r"(?<![.])[.;,]\s*$"), ""),
    (("{",), re.compile(r"^\s*\{(-?[\w.]+)\}\s*$"), r"\1"),
    (
        ("answer", "solution", "result", "value"),
        re.compile(
            r"(?i)^\W*(?:(?:so|thus|therefore|hence)\b,?\s*)?(?:(?:the|our|my)\s+)?(?:final\s+|correct\s+)?"
            r"(?:answer|solution|result|value)\s*(?:is|equals|:|=)\s*:?\s*"
        ),
        "",
    ),
    ((":",), re.compile(r"^[A-Za-z][A-Za-z ]{2,40}:\s*(?=[-+]?[\d\\(])"), ""),
    (("set",), re.compile(r"(?i)^(?:the )?(?:empty|null) set$"), r"\\emptyset"),
    (("st", "nd", "rd", "th"), re.compile(r"(?<=\d)\s?(?:\^\s?\{?\s?)?(?:st|nd|rd|th)\}?$"), ""),
]
_INSIDE: list[_Rule] = [
    (("\\",), re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (
        (",", " "),
        re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d ,.])\d{1,3}(?: \d{3})+(?![\d ])(?= *$)"),
        _joined,
    ),
    (tuple(_SCALES), re.compile(r"(?i)(?<=[\d}])\s*(hundred|thousand|million|billion|trillion|dozen)s?\b"), _scaled),
    (("/",), re.compile(r"(?<=\d)\s+(\d+)\s?/\s?(\d+)$"), r"\\frac{\1}{\2}"),
    (("frac",), re.compile(r"\\frac\s?([0-9a-z])\s?([0-9a-z])"), r"\\frac{\1}{\2}"),
    (("frac",), re.compile(r"(\\frac\s?\{[^{}]*\})\s?([0-9a-z])"), r"\1{\2}"),
    (("frac",), re.compile(r"\\frac\s?([0-9a-z])\s?\{"), r"\\frac{\1}{"),
    (("sqrt",), re.compile(r"(?<![\\a-zA-Z])sqrt\s?(?=[({\d])"), r"\\sqrt"),
    (("sqrt",), re.compile(r"\\sqrt\s?\(([^()]*)\)"), r"\\sqrt{\1}"),
    (("sqrt",), re.compile(r"\\sqrt(\[\d+\])?\s?([0-9a-z])"), r"\\sqrt\1{\2}"),
    (("pi",), re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])"), r"\\pi"),
    (("(",), re.compile(r"(?<=[\d}])\s+\(([a-zA-Z][a-zA-Z/^0-9 ]{0,30})\)$"), _unit_in_brackets),
    (("e",), re.compile(r"(?:\d+\.\d+[eE][-+]?\d{1,3}|\d[eE][-+]?\d{2,3}|\d[eE]\+?\d)(?![\d.a-zA-Z])"), _scientific),
    (
        ("arc", "sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "exp"),
        re.compile(
            r"(?<![\\a-zA-Z])(arc(?:sin|cos|tan)|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp)"
            r"(?=\s*[({^_\\\d]|\s?[a-z](?![a-z]))"
        ),
        r"\\\1",
    ),
    (("\\",), re.compile(r"\\varnothing|\\O(?![a-zA-Z])|\\\{\s*\\\}"), r"\\emptyset"),
    ((" ",), re.compile(r"(?<=[\d}\])])\s+(?:or|and|oder|ou|или|或)\s+(?=[-\\\d(\[])"), ","),
]
"""What is spelled in several ways -> its one spelling, in this order."""


def normal(answer: str) -> str:
    r"""One spelling for answers that differ only in how they are set: spaces, fonts, \left, \dfrac, signs, repeats.

    >>> normal(r"x = \dfrac 12"), normal(r"$12{,}000\text{ cm}^2$"), normal("2 1/2"), normal(r"\text{The answer is }9")
    ('x=\\frac{1}{2}', '12000 cm^2', '2\\frac{1}{2}', '9')
    """
    return re.sub(r" (?=[^a-zA-Z0-9°])|(?<=[^a-zA-Z0-9]) (?![\d])|(?<=[^a-zA-Z0-9.}]) ", "", _spaced(answer))


def _spaced(answer: str) -> str:
    """As `normal`, with a blank left wherever one was."""
    text = folded(answer).strip()
    text = _followed(_BEFORE_FONTS, text)
    if "\\" in text:
        text = without_fonts(_TEXT.sub(r" \g<0>", text))
    if not text.isascii():
        text = _from_signs(text)
    text = _followed(_AROUND, text)
    if "$" in text:
        money = re.match(r"[-+]?\s*\$\s?[\d.]", text) and not text.endswith("$")
        text = "$" * bool(money) + text.replace("$", "").strip()
    text = _followed(_INSIDE, text)
    return _digits_for_words(re.sub(r"\s+", " ", without_repeats(text)))


def _followed(rules: list[_Rule], text: str) -> str:
    low = text.lower()
    for needs, pattern, spelling in rules:
        for need in needs:
            if need in low:
                text = pattern.sub(spelling, text).strip()
                low = text.lower()
                break
    return text


def _digits_for_words(text: str) -> str:
    """Digits for a text that is a number in English words."""
    if not re.fullmatch(r"[A-Za-z]+(?:[ -][A-Za-z]+)*", text):
        return text
    words = re.findall(r"[a-z]+", text.lower())
    known = all(number_words(word) is not None or word in (*_SCALES, "and") for word in words)
    value = number_words(text) if known else None
    return text if value is None else str(value)


@dataclass(frozen=True)
class Spelled:
    """An answer taken apart.

    core     its value as normal LaTeX
    name     what stands before "=", as in "x = 5"
    unit     the unit behind it
    base     the base of a number such as 1011_2; 0 without
    percent  whether a percent sign or word followed
    """

    core: str
    name: str = ""
    unit: Unit | None = None
    base: int = 0
    percent: bool = False


_NAME = re.compile(
    r"((?:[a-zA-Z]|\\[a-zA-Z]+ ?|\\mathbb\{[A-Z]\}|\{[a-zA-Z]+\}| )+(?:_\{?\w{1,8}\}?)?(?:\^\{-1\}|'{1,3})?"
    r"(?:\([^()=]{1,20}\))?)\s?(?:=|\\in(?![a-zA-Z]))(?=[^=]+$)"
)
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10, "sixteen": 16}
_PREFIXES = {"b": 2, "o": 8, "x": 16}
_BASE_NAME = rf"\d{{1,2}}|{'|'.join(_BASES)}"
_BASE = re.compile(
    rf"\(?(?P<digits>-?[0-9A-Za-z.]+)\)?\s?"
    rf"(?:_\s?\{{?\(?\s?(?P<index>{_BASE_NAME})\s?\)?\}}?|\(?base[ -]?(?P<word>{_BASE_NAME})\)?)"
)


@lru_cache(10_000)
def spelled(answer: str) -> Spelled:
    r"""An answer taken apart.

    >>> spelled(r"x = 5\text{ cm}").core, spelled(r"1011_{2}"), spelled(r"4\sqrt2").core, spelled("3m").core
    ('5', Spelled(core='1011', name='', unit=None, base=2, percent=False), '4\\sqrt{2}', '3m')
    """
    text = _result(_spaced(answer))
    named = _NAME.match(text)
    name = normal(named[1]) if named else ""
    text = text[named.end() :].strip() if named else text
    coded = re.fullmatch(r"0([bBoOxX])([0-9a-fA-F]+)", text)
    text = f"{coded[2]}_{{{_PREFIXES[coded[1].lower()]}}}" if coded else text
    based = _BASE.fullmatch(text)
    if based:
        base = _BASES.get(based["index"] or based["word"]) or int(based["index"] or based["word"])
        if _in_base(based["digits"], base):
            return Spelled(based["digits"].upper().lstrip("0") or "0", name, None, base)
    value, unit = split_unit(re.sub(r"(?i)\s*(?:percent|per cent)$", "%", text))
    core = normal(value)
    return Spelled(core.removesuffix("%"), name, unit, 0, core.endswith("%"))


def _result(text: str) -> str:
    """What a calculation comes to: 8 of "3 + 5 = 8", x = 3 of "x = 6/2 = 3"; anything else as it is."""
    first, *others = re.split(r"(?<![<>!:\\])=|\\approx", text)
    if not others or any(exact(normal(each)) is None for each in others):
        return text
    if exact(normal(first)) is not None:
        return others[-1].strip()
    return f"{first}={others[-1]}" if len(others) > 1 else text


def _in_base(digits: str, base: int) -> bool:
    """Whether digits can be a number in a base; one letter alone is a name with an index."""
    known = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:base]
    plain = digits.upper().removeprefix("-").replace(".", "", 1)
    return 2 <= base <= 36 and bool(plain) and set(plain) <= set(known) and (len(plain) > 1 or plain.isdigit())
