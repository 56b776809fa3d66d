"""`make mutants`: change one thing at a time in the core files and see whether their tests notice (with mutmut).

    python -m benchmarks.mutants ['*.stats.*' ...]

A mutant that the tests let through is either equal to the original in all that matters, and then stands with its reason
in tests/equivalent_mutants.toml, or it is a missing test. It ends with an error where fewer than nine in ten of the
others are noticed. Names are mutmut's; `*__mutmut_*3`, which `make prove` tries, are those whose number ends in 3:
about a tenth of every function, always the same ones. The core files and their tests are listed in pyproject.toml.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.toml"
NOTICED = 0.9
"""Share of the mutants that are not equal to the original which the tests must notice."""


def mutmut(*words: str) -> str:
    """What mutmut says."""
    command = [sys.executable, "-m", "mutmut", *words]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def fates() -> dict[str, str]:
    """mutmut's name of each mutant that was tried -> "killed", "timeout", "survived", "no tests"."""
    pairs = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines() if ": " in line)
    return {name: fate for name, _, fate in pairs if fate != "not checked"}


def described(name: str) -> str:
    """The function and what became of its lines, without a number that the next change of the file would shift.

    >>> function_of("llmrouterbench.collecting.budget.xǁBudgetǁreserve__mutmut_4")
    'collecting.budget.Budget.reserve'
    """
    changed = [line for line in mutmut("show", name).splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    return f"{function_of(name)}: " + " ".join(f"{line[0]} {line[1:].strip()}" for line in changed)


def function_of(name: str) -> str:
    """The function that a mutant is of, as mutmut's name has it."""
    return name.partition("__mutmut_")[0].partition(".")[2].replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")


def equivalent() -> Iterator[str]:
    """Mutants that were read and found equal."""
    for group in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["equal"]:
        yield from group["mutants"]


def main() -> None:
    """Try the mutants named, or all; print those that nobody noticed; exit with 1 where they are too many."""
    subprocess.run(
        [sys.executable, "-m", "mutmut", "run", *sys.argv[1:]], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    fate = fates()
    equal = set(equivalent())
    lost = [described(name) for name, one in fate.items() if one in ("survived", "no tests")]
    missing = sorted(text for text in lost if text not in equal)
    for text in missing:
        print(text)
    real = len(fate) - (len(lost) - len(missing))
    print(f"{dict(Counter(fate.values()))}; equal to the original: {len(lost) - len(missing)};", end=" ")
    print(f"noticed of the others: {real - len(missing)} of {real}")
    if real - len(missing) < NOTICED * real:
        sys.exit(
            f"at least {NOTICED:.0%} must be noticed: write the missing tests, or give the reason in {EQUIVALENT.name}"
        )


if __name__ == "__main__":
    main()
