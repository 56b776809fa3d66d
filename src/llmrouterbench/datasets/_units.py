r"""Units behind a number: which they are, and how many of another of their kind they make.

A unit is one only behind a number, and a single letter only where it is set apart: `3\text{ m}` and "3 m" are metres,
"3m" is three times m. What is counted ("9 apples") is a unit of no kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_NAMES = {
    "length": "m=1 meter=1 metre=1 mm=1/1000 millimeter=1/1000 millimetre=1/1000 cm=1/100 centimeter=1/100"
    " centimetre=1/100 dm=1/10 km=1000 kilometer=1000 kilometre=1000 nm=1/1000000000 μm=1/1000000 in=254/10000"
    " inch=254/10000 ft=3048/10000 foot=3048/10000 feet=3048/10000 yd=9144/10000 yard=9144/10000 mi=1609344/1000"
    " mile=1609344/1000",
    "mass": "kg=1 kilogram=1 g=1/1000 gram=1/1000 gm=1/1000 mg=1/1000000 milligram=1/1000000 lb=45359237/100000000"
    " pound=45359237/100000000 oz=45359237/1600000000 ounce=45359237/1600000000 ton=? tonne=1000",
    "time": "s=1 sec=1 second=1 ms=1/1000 millisecond=1/1000 min=60 minute=60 h=3600 hr=3600 hour=3600 day=86400"
    " week=604800 month=? year=? yr=? decade=? century=? centurie=?",
    "angle": "°=1 degree=1 deg=1 rad=? radian=?",
    "temperature": "°C=1 celsius=1 °F=? fahrenheit=? K=? kelvin=?",
    "volume": "L=1 l=1 liter=1 litre=1 mL=1/1000 ml=1/1000 milliliter=1/1000 millilitre=1/1000 cc=1/1000 gal=? gallon=?"
    " cup=? quart=? pint=? tablespoon=? teaspoon=?",
    "money": "$=1 USD=1 dollar=1 cent=1/100 ¢=1/100 €=? EUR=? euro=? £=? GBP=? ¥=? yuan=? yen=? RMB=? rupee=? ₹=? Rs=?",
    "speed": "mph=1 mps=? kph=? kmh=? knot=?",
    "force": "N=1 newton=1 kN=1000",
    "energy": "J=1 joule=1 kJ=1000 kilojoule=1000 eV=? cal=? kcal=? calorie=? kWh=?",
    "power": "W=1 watt=1 kW=1000 kilowatt=1000 MW=1000000 hp=? horsepower=?",
    "pressure": "Pa=1 kPa=1000 pascal=1 atm=? bar=? mmHg=? torr=? psi=?",
    "electricity": "V=? volt=? A=? amp=? ampere=? Ω=? ohm=? C=? coulomb=? F=? farad=? H=? T=? tesla=? mA=? mV=? kV=?",
    "frequency": "Hz=1 hertz=1 kHz=1000 MHz=1000000 rpm=?",
    "amount": "mol=1 mole=1 mmol=1/1000 M=? mM=?",
    "data": "bit=1 byte=8 KB=? MB=? GB=? kB=?",
}
"""Kind -> its names with their size; "?" is a size that is not exact, or is no multiple of the others."""
UNITS = {
    name: (kind, None if size == "?" else Fraction(size))
    for kind, names in _NAMES.items()
    for name, _, size in (entry.partition("=") for entry in names.split())
}
_SHAPES = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3}
_NO_NOUN = frozenset(
    [
        "or",
        "and",
        "to",
        "if",
        "when",
        "for",
        "where",
        "with",
        "mod",
        "base",
        "less",
        "more",
        "than",
        "times",
        "plus",
        "minus",
        "over",
        "squared",
        "cubed",
        "factorial",
        "hundred",
        "thousand",
        "million",
        "billion",
        "trillion",
        "dozen",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "percent",
        "pi",
        "not",
        "no",
        "only",
        "about",
        "through",
        "is",
        "are",
        "was",
        "be",
        "by",
        "sin",
        "cos",
        "tan",
        "log",
        "exp",
        "sqrt",
        "frac",
        "cdot",
        "div",
        "in",
        "of",
        "from",
        "at",
        "as",
        "mod",
        "cis",
        "infinity",
        "infty",
        "theta",
        "alpha",
        "beta",
        "phi",
    ]
)
_PIECE = re.compile(r"\s*(?:(/|\bper\b)|([*·]|\\cdot))?\s*([a-zA-Z°$€£¥¢₹Ωμ]+\.?)\s*(?:\^\s*\{?\s*([-+]?\d)\s*\}?)?")


@dataclass(frozen=True)
class Unit:
    """A unit: its kinds with their powers, its size in the first of each kind (None: not known), its own spelling."""

    kinds: tuple[tuple[str, int], ...]
    size: Fraction | None
    name: str


def unit_of(text: str) -> Unit | None:
    r"""The unit that a text names, None where it names none.

    >>> unit_of("km/h").kinds, unit_of("square feet").kinds, unit_of("apples"), unit_of("or")
    ((('length', 1), ('time', -1)), (('length', 2),), Unit(kinds=(), size=Fraction(1, 1), name='apples'), None)
    """
    text = re.sub(
        r"/\s*\(([^()]*)\)",
        lambda found: "/" + "/".join(re.split(r"[\s·*]+", found[1].strip())),
        " ".join(text.split()),
    )
    powers: dict[str, int] = {}
    size: Fraction | None = Fraction(1)
    at, shape, after_per, nouns = 0, 1, False, False
    while at < len(text):
        found = _PIECE.match(text, at)
        if not found:
            return None
        at = found.end()
        word, divided = found[3], bool(found[1])
        if word.lower() in _SHAPES:
            shape, after_per = _SHAPES[word.lower()], after_per or divided
            continue
        known = _known(word)
        if known is None:
            if word.lower() in _NO_NOUN or len(word) < 3 or not word.islower():
                return None
            nouns = True
            continue
        power = int(found[4] or 1) * shape * (-1 if divided or after_per else 1)
        kind, one = known
        powers[kind] = powers.get(kind, 0) + power
        size = None if one is None or size is None else size * one**power
        shape, after_per = 1, False
    kinds = () if nouns and not powers else tuple(sorted(powers.items()))
    return Unit(kinds, size, text) if text else None


def _known(word: str) -> tuple[str, Fraction | None] | None:
    plain = word.rstrip(".")
    for name in (plain, plain.lower() if len(plain) > 2 else plain):
        for single in (
            name,
            name.removesuffix("s") if len(name) > 2 else name,
            name.removesuffix("es") if len(name) > 4 else name,
        ):
            if single in UNITS:
                return UNITS[single]
    return None


_BEHIND = re.compile(
    r"(?P<number>.*(?:[\d})\]]|\\pi|\\infty))(?P<space>\s*)(?P<unit>(?:[a-zA-Z°$€£¥¢₹Ωμ]|\\circ)[^\d=,;\\{]{0,40}?(?:\^\s?\{?[-+]?\d\}?[^\d=,;\\{]{0,20})?)\s*$",
    re.DOTALL,
)


def split_unit(text: str) -> tuple[str, Unit | None]:
    r"""A number and the unit behind it; the text as it is and None where no unit stands there.

    >>> split_unit("5 m/s")[0], split_unit("3m"), split_unit("12 cm^2")[1].kinds, split_unit("$5")[0]
    ('5', ('3m', None), (('length', 2),), '5')
    """
    money = re.fullmatch(r"([-+]?)\s*(?:US|C|A|HK)?([$€£¥₹])\s*([\d.,]+)", text)
    if money:
        return f"{money[1]}{money[3]}", unit_of(money[2])
    degrees = re.fullmatch(r"(.*[\d})])\s*(?:\^\s*\{?\s*\\circ\s*\}?|°|\\degree)\s*([CF]?)", text)
    if degrees and not re.search(r"\\?(?:sin|cos|tan|cot|sec|csc)", degrees[1]):
        return degrees[1], unit_of("°" + degrees[2])
    found = _BEHIND.fullmatch(text)
    if not found or re.search(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])|=", re.sub(r"\\[a-zA-Z]+", "", found["number"])):
        return text, None
    unit = found["unit"].strip().rstrip(".")
    if not found["space"] and (len(re.match(r"[a-zA-Zμ]*", unit)[0]) == 1 or unit.split()[0] in ("sin", "cos")):  # type: ignore[index]
        return text, None
    named = unit_of(unit)
    if named and not named.kinds and not found["space"]:
        return text, None
    return (found["number"].strip(), named) if named else (text, None)
