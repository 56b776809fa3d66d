"""The official split bit for bit; the safe split without leaks; splits as files."""

import random
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.settings import PAPER_SEEDS
from llmrouterbench.splits import load_split, make_split, near_duplicate_groups, save_split, validation_split
from llmrouterbench.table import Outcomes


def table(sizes: dict[str, int], texts: dict[str, list[str]] | None = None) -> Outcomes:
    names = [name for name, n in sizes.items() for _ in range(n)]
    text = [
        t
        for name, n in sizes.items()
        for t in (texts or {}).get(name, [f"{name} asks {i} of {i * i}" for i in range(n)])
    ]
    return Outcomes.of(text, ["m"], np.zeros((len(text), 1)), dataset=names)


def official(records: list[tuple[str, int, str]], seed: int, ratio: float) -> set[tuple[str, str]]:
    """Train prompts by the recipe of the official loader, written with plain lists: (dataset, index, prompt) in."""
    rng = random.Random(seed)
    train = set()
    for dataset in sorted({d for d, _, _ in records}):
        smallest: dict[str, int] = {}
        for d, index, prompt in records:
            if d == dataset:
                smallest[prompt] = min(index, smallest.get(prompt, index))
        prompts = sorted(smallest, key=lambda p: smallest[p])
        positions = list(range(len(prompts)))
        rng.shuffle(positions)
        train |= {(dataset, prompts[i]) for i in positions[: int(len(prompts) * ratio)]}
    return train


@pytest.mark.parametrize("seed", PAPER_SEEDS)
def test_paper_split_is_the_official_recipe(seed: int) -> None:
    doubled = [f"text {i % 90}" for i in range(100)]  # ten prompts occur twice
    outcomes = table({"aime": 60, "kandk": 700, "hle": 100}, {"hle": doubled})
    split = make_split(outcomes, seed, kind="paper")
    pairs = list(zip(outcomes.dataset.tolist(), outcomes.queries.prompt, strict=True))
    records = [(d, int(i), p) for (d, p), i in zip(pairs, outcomes.index.tolist(), strict=True)]
    assert {pairs[row] for row in split.train} == official(records, seed, 0.7)
    assert len(split.train) + len(split.test) == len(outcomes)


def test_seven_hundred_gives_489() -> None:
    split = make_split(table({"kandk": 700}), 42, kind="paper")
    assert (len(split.train), len(split.test)) == (489, 211)


def test_another_dataset_before_it_changes_the_draw() -> None:
    alone = table({"b": 50})
    both = table({"a": 50, "b": 50})
    of_b = make_split(both, 42, kind="paper").train
    assert (make_split(alone, 42, kind="paper").train + 50).tolist() != of_b[of_b >= 50].tolist()


def test_known_draw_for_seed_42() -> None:
    """random.Random(42).shuffle(range(10)) is a fixed fact of CPython: 7 3 2 8 5 6 9 4 0 1."""
    assert make_split(table({"a": 10}), 42, kind="paper").train.tolist() == [2, 3, 5, 6, 7, 8, 9]


def test_held_out_dataset_takes_no_random_numbers() -> None:
    both, alone = table({"a": 30, "b": 40}), table({"b": 40})
    split = make_split(both, 7, kind="paper", held_out=("a",))
    assert set(both.dataset[split.train]) == {"b"}
    assert (split.train - 30).tolist() == make_split(alone, 7, kind="paper").train.tolist()


def test_safe_split_keeps_near_copies_together() -> None:
    long = (
        "the quick brown fox jumps over the lazy dog while seven wizards brew a very strong cup of coffee for the king"
    )
    texts = {
        "a": [f"question {i} about {i * 7} and {i * 11}" for i in range(40)],
        "b": [long, long.upper() + "!", long + " today"],
    }
    outcomes = table({"a": 40, "b": 3}, texts)
    for seed in range(10):
        train = set(make_split(outcomes, seed, kind="safe").train.tolist())
        assert len({40, 41, 42} & train) in (0, 3)


def test_near_duplicates_cross_datasets_and_spare_short_differences() -> None:
    outcomes = table({"a": 2, "b": 1}, {"a": ["What is 2 + 2?", "What is 2 + 3?"], "b": ["what is 2 + 2"]})
    assert near_duplicate_groups(outcomes).tolist() == [0, 1, 0]


TEMPLATE = "\n".join(f"Line {i} of an instruction that every question of the dataset has." for i in range(30))


def twins(template: str) -> Outcomes:
    """A hundred pairs of questions that differ in one word and in the order of two."""
    asked = [
        f"{template}\nMiss number{i} waved at her neighbour beside street{i * 7} because she was {mood}.\nA) {names}"
        for i in range(100)
        for mood, names in ((f"glad{i}", f"one{i} B) two{i}"), (f"sad{i}", f"two{i} B) one{i}"))
    ]
    return Outcomes.of(asked, ["m"], np.ones((200, 1)))


@pytest.mark.parametrize("template", ["", TEMPLATE])
def test_twins_in_one_word_stay_together_in_test_and_validation(template: str) -> None:
    outcomes = twins(template)
    pair = np.arange(200) // 2
    assert near_duplicate_groups(outcomes).tolist() == (2 * pair).tolist()
    split = make_split(outcomes, 42)
    assert not set(pair[split.train].tolist()) & set(pair[split.test].tolist())
    assert split.settings["alike"] == 0.0
    fit, validation = validation_split(outcomes, split.train, 42, group=split.group)
    assert not set(pair[fit].tolist()) & set(pair[validation].tolist())
    before = make_split(outcomes, 42, near_copies="long-texts")
    assert template or set(pair[before.train].tolist()) & set(pair[before.test].tolist())
    assert "alike" not in before.settings


def test_what_is_left_alike_is_measured() -> None:
    """Two words of fourteen differ: no near-copy, and alike."""
    begin = "alpha{0} beta{0} gamma{0} delta{0} eps{0} zeta{0} eta{0} theta{0} iota{0} kappa{0} lambda{0} mu{0} {1}"
    rows = [begin.format(i, end) for i in range(100) for end in (f"one{i} two{i}", f"three{i} four{i}")]
    split = make_split(Outcomes.of(rows, ["m"], np.ones((200, 1))), 42)
    pair = np.arange(200) // 2
    truth = np.isin(pair[split.test], pair[split.train]).mean()
    assert split.settings["alike"] == pytest.approx(truth, abs=0.05)  # a pair at 0.71 is found in 98 of 100
    assert truth > 0.3


def test_groups_of_a_part_need_not_be_row_numbers() -> None:
    whole = table({"a": 6}, {"a": ["x y z", "x y z", "p q r", "s t u", "v w x", "s t u"]})
    assert near_duplicate_groups(whole.take(np.array([2, 3, 5]))).tolist() == [0, 1, 1]


@given(st.lists(st.sampled_from(["a b c", "A b, c!", "a b d", "x", ""]), max_size=12))
def test_a_group_is_named_after_its_first_query(texts: list[str]) -> None:
    words = [tuple(re.findall(r"\w+", text.lower())) for text in texts]
    outcomes = Outcomes.of(texts, ["m"], np.zeros((len(texts), 1)))
    assert near_duplicate_groups(outcomes).tolist() == [words.index(one) for one in words]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "papre"}, "no split named 'papre'; did you mean 'paper'"),
        ({"ratio": 1.0}, "ratio must be between 0 and 1"),
        ({"held_out": ("zz",)}, "no dataset named 'zz' to hold out"),
        ({"held_out": ("a",)}, "both sides of a split must hold queries, got 0"),
    ],
)
def test_bad_requests_get_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_split(table({"a": 10}), 1, **change)  # type: ignore[arg-type]


def test_validation_comes_from_train_only() -> None:
    outcomes = table({"a": 50, "b": 1, "c": 20})
    split = make_split(outcomes, 42, kind="safe")
    fit, validation = validation_split(outcomes, split.train, 42)
    assert sorted([*fit, *validation]) == split.train.tolist()
    assert len(validation) >= 5
    again = validation_split(outcomes, split.train, 42)
    assert again[1].tolist() == validation.tolist()


def test_validation_of_too_little_data_says_so() -> None:
    outcomes = table({"a": 3})
    with pytest.raises(ValueError, match="validation part must hold queries"):
        validation_split(outcomes, np.array([0]), 1)


def test_a_saved_split_is_reused(tmp_path: Path) -> None:
    outcomes = table({"a": 20, "b": 10})
    split = make_split(outcomes, 999)
    save_split(split, outcomes, tmp_path / "s.json")
    back = load_split(tmp_path / "s.json", outcomes)
    assert (back.hash, back.settings) == (split.hash, split.settings)
    with pytest.raises(ValueError, match="which these outcomes lack"):
        load_split(tmp_path / "s.json", table({"a": 5}))


def ids(outcomes: Outcomes, rows: Iterable[int]) -> list[str]:
    return [str(outcomes.queries.id[row]) for row in rows]


@pytest.mark.parametrize("name", ["s.json", "s.csv", "s.jsonl", "S.JSONL"])
def test_a_split_that_somebody_else_made_is_read(name: str, tmp_path: Path) -> None:
    outcomes = table({"a": 9})
    train, test = ids(outcomes, [7, 0, 3]), ids(outcomes, [8, 1])
    pairs = [(id, "train") for id in train] + [(id, "test") for id in test]
    written = {
        "json": orjson.dumps({"train": [int(id) for id in train], "test": test}),
        "csv": "\n".join(["query_id,note,part", *(f"{id},x,{part}" for id, part in pairs)]).encode(),
        "jsonl": b"\n".join(orjson.dumps({"id": id, "part": part}) for id, part in pairs),
    }
    (tmp_path / name).write_bytes(written[name.lower().partition(".")[2]])
    split = load_split(tmp_path / name, outcomes)
    assert (split.train.tolist(), split.test.tolist()) == ([0, 3, 7], [1, 8])
    save_split(split, outcomes, tmp_path / "again.json")
    assert load_split(tmp_path / "again.json", outcomes).hash == split.hash


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("s.json", '{"train": ["0", "x"], "test": ["1"]}', "names query 'x' for train, which these outcomes lack"),
        ("s.json", '{"train": ["0", "2", "0"], "test": ["1"]}', "must name a query once, got '0' twice for train"),
        ("s.json", '{"train": ["0", "1"], "test": ["1"]}', "must keep train and test apart, got query '1' in both"),
        ("s.json", '{"train": ["0", "1"], "test": []}', "must have queries in both parts, got none for test; add some"),
        ("s.json", '{"train": ["0"]}', "must have a list 'test' of query ids, got none"),
        ("s.json", '{"train": ["0"], "test": "1"}', "must have a list 'test' of query ids, got 1; write them as texts"),
        ("s.json", '{"train": ["0"], "test": [1.5]}', r"must have a list 'test' of query ids, got \[1.5\]"),
        ("s.json", '{"format": "llmrouterbench/runs", "train": ["0"], "test": ["1"]}', "must be a split of schema 1"),
        ("s.json", "[]", "must be a split of schema 1, got something else"),
        ("s.json", "{", "must be JSON, got an unreadable file"),
        ("s.csv", "id,part\n0,train\n1,dev\n", "part must be 'train' or 'test', got 'dev' in .*s.csv record 2"),
        ("s.csv", "id\n0\n", "part must be 'train' or 'test', got None in .*s.csv record 1"),
        ("s.csv", "name,part\n0,train\n", "a query of a split must have an id, got none in .*s.csv record 1"),
        ("s.csv", "", "must hold a table, got an empty file"),
        ("s.csv", "id,part\n0,train\n1,train\n", "must have queries in both parts, got none for test"),
        ("s.jsonl", '{"id": [0], "part": "train"}', r"a query of a split must have an id, got \[0\] in .*line 1"),
        ("s.jsonl", '{"id": "0", "part": "train"', "line 1 must be JSON, got a broken line"),
        ("s.txt", "", "a split must be a .json, .csv, .jsonl file, got .*s.txt; rename it"),
    ],
)
def test_a_split_that_breaks_a_rule_gets_one_sentence(name: str, content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_split(tmp_path / name, table({"a": 9}))
    assert "\n" not in str(caught.value)


def test_a_split_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(FileNotFoundError, match="a split must be in a file, got none at .*; write one with"):
            load_split(path, table({"a": 9}))


@pytest.mark.parametrize("change", [{"format": "another"}, {"schema": 2}])
def test_a_file_that_is_no_split_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    outcomes = table({"a": 20})
    save_split(make_split(outcomes, 7), outcomes, tmp_path / "s.json")
    said = orjson.loads((tmp_path / "s.json").read_bytes())
    assert said["data_hash"] == outcomes.content_hash
    (tmp_path / "s.json").write_bytes(orjson.dumps(said | change))
    with pytest.raises(ValueError, match="must be a split of schema 1, got something else"):
        load_split(tmp_path / "s.json", outcomes)


def test_near_copies_are_kept_together_by_the_safe_split_only() -> None:
    """A hundred questions that differ in one word of thirty."""
    words = " ".join(f"word{i}" for i in range(30))
    texts = [f"{words} {i}" for i in range(100)] + [f"{i} other {i + 1} text {i + 2}" for i in range(100)]
    outcomes = Outcomes.of(texts, ["m"], np.ones((200, 1)), dataset=["a"] * 100 + ["b"] * 100)
    paper = make_split(outcomes, 3, kind="paper")
    assert paper.settings == {"kind": "paper", "seed": 3, "ratio": 0.7, "held_out": []}
    assert [(paper.train < 100).sum(), (paper.test < 100).sum()] == [70, 30]
    safe = make_split(outcomes, 3, kind="safe")
    assert 0 in ((safe.train < 100).sum(), (safe.test < 100).sum())
