"""`make quick`: the quick tests on every CPython that the project supports and this machine has, side by side.

python -m benchmarks.quick [3.12 ...]   some versions only
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PLACES = ROOT / ".venvs"
TESTS = ("-q", "-p", "no:cacheprovider", "-m", "not slow and not prove")


def candidates(version: str) -> Iterator[str]:
    """Where a CPython of this version may be: on the path, or under pyenv, the newest first."""
    if found := shutil.which(f"python{version}"):
        yield found
    for folder in sorted(Path.home().glob(f".pyenv/versions/{version}.*"), reverse=True):
        yield str(folder / "bin" / "python")


def interpreter(version: str) -> str | None:
    """A CPython that starts and is what it is called; None where there is none."""
    asked = "import sys, venv; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    for one in candidates(version):
        said = subprocess.run([one, "-c", asked], capture_output=True, text=True, check=False)
        if said.stdout.split() == ["cpython", version]:
            return one
    return None


def environment(version: str, python: str) -> Path:
    """The Python of a light environment, made anew where pyproject.toml changed."""
    place = PLACES / version
    stamp, wanted = place / "made-from", hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([python, "-m", "venv", str(place)], check=True)
        install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", f"{ROOT}[quick]"], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return place / "bin" / "python"


def run(version: str, python: Path) -> tuple[str, int]:
    """What pytest said, and its exit code; in a folder of its own: pytest clears those of others that it finds."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(python), "-m", "pytest", *TESTS, f"--basetemp={folder}/tests"], cwd=ROOT, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return done.stdout, done.returncode


def main() -> int:
    wanted = sys.argv[1:] or list(VERSIONS)
    found = {version: python for version in wanted if (python := interpreter(version))}
    places = {version: environment(version, python) for version, python in found.items()}
    with ThreadPoolExecutor() as pool:
        done = dict(zip(places, pool.map(run, places, places.values()), strict=True))
    for version, (said, code) in done.items():
        print(f"CPython {version}: {said if code else said.rstrip().splitlines()[-1]}")
    for version in wanted:
        if version not in found:
            print(f"CPython {version}: not on this machine, not tested")
    return max((code for _, code in done.values()), default=1)


if __name__ == "__main__":
    sys.exit(main())
