"""Strict files: what is no YAML or TOML, what is too much of it, and what a value must be, each in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from llmrouterbench.strict import (
    DEEPEST,
    LARGEST,
    Name,
    Strict,
    parse_plain,
    parse_strict,
    parse_toml,
    parse_yaml,
    read_toml,
    read_yaml,
)


@dataclass(frozen=True)
class Stop:
    name: str
    minutes: int | float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")


@dataclass(frozen=True)
class Line:
    number: int
    stops: tuple[Stop, ...] = ()
    night: bool = False


class Route(Strict):
    number: Annotated[int, Field(ge=1)]
    via: Name | dict[str, int] | None = None
    weights: dict[str, float] = Field(default_factory=dict)


def test_a_file_of_either_form_is_the_same_value(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text("\ufeffnumber: 7\nstops: [{name: Port, minutes: 3}]\n", encoding="utf-8")
    (tmp_path / "line.toml").write_text('\ufeffnumber = 7\n[[stops]]\nname = "Port"\nminutes = 3\n', encoding="utf-8")
    raw = read_yaml(tmp_path / "line.yaml", "a line")
    assert raw == read_toml(tmp_path / "line.toml", "a line")
    assert parse_plain(Line, raw, "line") == Line(7, (Stop("Port", 3),))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"numbre": 7}, "w: unknown key 'numbre'; did you mean 'number'?"),
        ({"number": 7, "stops": [{"nam": "a"}]}, "w: stops[0]: unknown key 'nam'; did you mean 'name'?"),
        ({"number": 7, "stops": [{"name": "a"}, {}]}, "w: stops[1].name is missing"),
        ({"number": 7, "stops": [{"name": ""}]}, "w: stops[0]: name must not be empty"),
        ({"number": 7, "stops": [{"name": "a", "minutes": "3"}]}, "w: stops[0].minutes must be a number, got '3'"),
        ({"number": 7, "stops": {"name": "a"}}, "w: stops must be a list, got {'name': 'a'}"),
        ({"number": 7, "stops": ["a"]}, "w: stops[0] must be keys and values, got 'a'"),
        ({"number": "7"}, "w: number must be a whole number, got '7'"),
        ({"number": 7.5}, "w: number must be a whole number, got 7.5"),
        ({"number": True}, "w: number must be a whole number, got True"),
        ({"number": 7, "night": 1}, "w: night must be true or false, got 1"),
        ({1: 7}, "w: unknown key '1'; there are night, number, stops"),
        ([7], "w must hold keys and values, got list"),
        ({"number": "7" * 999}, "w: number must be a whole number, got '7777"),
    ],
)
def test_a_wrong_dataclass_is_one_sentence(raw: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}") as caught:
        parse_plain(Line, raw, "w")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"number": 0}, "w: number must be greater than or equal to 1, got 0"),
        ({"number": 1, "via": 3}, "w: via must be text or keys and values, got 3"),
        ({"number": 1, "via": ""}, "w: via must be a text that is not empty or keys and values, got ''"),
        ({"number": 1, "via": {"a": "b"}}, "w: via.a must be a whole number, got 'b'"),
        ({"number": 1, "weights": {"a": "b"}}, "w: weights.a must be a number, got 'b'"),
        ({"number": 1, "api_key": "x"}, "w: api_key must not be written in a file"),
        ({"number": 1, "via": "sk-0123456789abcdefghij"}, "w: via looks like a key"),
    ],
)
def test_a_wrong_config_is_one_sentence(raw: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        parse_strict(Route, raw, "w")


NINE = "[" + ", ".join(["*x"] * 9) + "]"
BOMB = "x: &x [1]\n" + "".join(
    f"{name}: &{name} {NINE.replace('x', before)}\n" for before, name in zip("xabcdefg", "abcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\na: 2", "w must be YAML, got an error: found key 'a' twice"),
        ("a: {b: 1, b: 2}", "w must be YAML, got an error: found key 'b' twice"),
        ("a: [", "w must be YAML, got an error: "),
        ("a: 2024-13-45", "w must be YAML, got an error: month must be in 1..12"),
        ("a: !!python/object/apply:os.getcwd []", "w must be YAML, got an error: could not determine a constructor"),
        ("a: 1\n---\na: 2", "w must be YAML, got an error: expected a single document"),
        ("[" * 5000, f"w must have at most {DEEPEST} levels, got more"),
        ("a: &a [*a]", f"w must have at most {DEEPEST} levels, got more"),
        (BOMB, "w must hold at most 200,000 values, got "),
    ],
)
def test_what_is_no_yaml_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        parse_yaml(text, "w")


def test_an_alias_and_a_merge_are_no_repetition() -> None:
    text = "x: {y: &a {<<: {k: 2}, k: 1}}\nc: {<<: *a, k: 3}\nd: *a"
    assert parse_yaml(text, "w") == {"x": {"y": {"k": 1}}, "c": {"k": 3}, "d": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 1\na = 2", "w must be TOML, got an error: Cannot overwrite a value"),
        ("a", "w must be TOML, got an error: "),
        ("a = " + "[" * 5000, f"w must have at most {DEEPEST} levels, got more"),
        ("a" + ".a" * 5000 + " = 1", f"w must have at most {DEEPEST} levels, got more"),
    ],
)
def test_what_is_no_toml_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        parse_toml(text, "w")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.yaml must be a line, got no file there"):
        read_yaml(tmp_path / "none.yaml", "a line")
    with pytest.raises(FileNotFoundError, match="must be a line, got a folder"):
        read_toml(tmp_path, "a line")
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match=r"binary.yaml must be a line in UTF-8, got an error: 'utf-8' codec"):
        read_yaml(tmp_path / "binary.yaml", "a line")
    (tmp_path / "large.toml").write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(ValueError, match=r"large.toml must be a line, got a file of more than 4 MB"):
        read_toml(tmp_path / "large.toml", "a line")


@given(st.text(), st.sampled_from([parse_yaml, parse_toml]))
def test_any_text_is_a_value_or_a_sentence_that_names_the_file(text: str, parse: Callable[[str, str], Any]) -> None:
    said = "the file must "
    try:
        parse(text, "the file")
    except ValueError as error:
        said = str(error)
    assert said.startswith("the file must ")
    assert "\n" not in said
