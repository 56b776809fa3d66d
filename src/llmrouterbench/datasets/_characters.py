"""Characters that are written in more than one way: full-width and mathematical letters, digits of other scripts, marks
of direction that nobody sees; and LaTeX commands that change only how letters look.
"""

from __future__ import annotations

import re
import unicodedata

_ZEROS = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6),
    *(0xE50, 0xED0, 0xF20, 0x1040, 0x17E0, 0x1810),
)
"""The digit 0 of the scripts in use; nine more follow each."""
_UNSEEN = (0xAD, 0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))
_COMPATIBLE = (
    *range(0x249C, 0x24EA),  # circled and parenthesised letters
    *range(0x1D400, 0x1D800),  # mathematical letters and digits
    *range(0x1F110, 0x1F130),
)
_SQUARED = (0x1F130, 0x1F150, 0x1F170)  # squared and circled capitals that have no decomposition
_FOLDS: dict[int, str | None] = {
    **{sign: chr(sign - 0xFEE0) for sign in range(0xFF01, 0xFF5F)},
    **{sign: unicodedata.normalize("NFKC", chr(sign)) for sign in _COMPATIBLE},
    **{first + at: chr(ord("A") + at) for first in _SQUARED for at in range(26)},
    **{zero + digit: str(digit) for zero in _ZEROS for digit in range(10)},
    **dict.fromkeys(_UNSEEN),
    **{0x3000: " ", ord("؟"): "?", ord("،"): ",", ord("؛"): ";", ord("٪"): "%", ord("٫"): ".", ord("٬"): ","},
}
_MAYBE = re.compile(
    "[\u00ad\u0600-\u1819\u200b-\u200f\u202a-\u202e\u2060-\u206f\u249c-\u24e9\u3000\ufeff\uff01-\uff5e"
    "\U0001d400-\U0001d7ff\U0001f110-\U0001f189]"
)
"""All that is folded, and some that is not; quick to look for."""

FONTS = (
    r"(?:text(?:bf|it|rm|sf|tt|sc|sl|up|md|normal)?|math(?:rm|bf|it|sf|tt|normal|bfit)|emph|[mhf]box|boxed|boldsymbol"
    r"|bm|pmb|bold|operatorname\*?|ensuremath|underline|textcolor\{[a-z]{1,20}\}|color\{[a-z]{1,20}\}"
    r"|bfseries|itshape|rmfamily|sffamily|ttfamily|bf|rm|it|sf|tt|displaystyle|textstyle|(?:L|l)arge|huge)(?![a-zA-Z])"
)
r"""LaTeX commands, without the backslash, that change how what follows looks; \mathbb changes what it is."""
_FONT_GROUP = re.compile(rf"\\{FONTS}\s?\{{([^{{}}]*)\}}")
_FONT = re.compile(rf"\\{FONTS}\s?")


def folded(text: str) -> str:
    """A text with one character for what is written in several ways.

    >>> folded("Ａｎｓｗｅｒ：\u200f（Ｃ）"), folded("٢٠٤"), folded("𝐂 Ⓒ")
    ('Answer:(C)', '204', 'C C')
    """
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.translate(_FOLDS) if _MAYBE.search(text) else text


def without_fonts(text: str) -> str:
    r"""A LaTeX text without commands for fonts; what they hold stays.

    >>> without_fonts(r"\mathbf{\text{C}} \mathrm{cm} {\bf x} \mathbb{R}")
    'C cm {x} \\mathbb{R}'
    """
    if "\\" not in text:
        return text
    for _ in range(20):
        text, found = _FONT_GROUP.subn(r"\1", text)
        if not found:
            break
    return _FONT.sub("", text)
