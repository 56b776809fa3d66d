"""The reasoning and the judged datasets: read from files as their sources lay them out, asked, scored."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import polars
import pytest

from llmrouterbench.checks.dataset import check_dataset, plain_instruments
from llmrouterbench.datasets import Dataset, Instruments, Source, dataset
from llmrouterbench.datasets._korbench_puzzles import RULES, same_puzzle, value
from llmrouterbench.datasets.bbh import TASKS
from llmrouterbench.datasets.kandk import roles
from llmrouterbench.datasets.korbench import CATEGORIES, bracketed, same_logic, same_operation
from llmrouterbench.replies import Item
from work import deadline

Files = dict[str, Path]


def put(folder: Path, dataset: Dataset, contents: dict[str, Any]) -> Files:
    """Write one file for every path of the source: text as it is, lists as JSON lines, mappings as JSON."""
    for name in dataset.source.files:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        content = contents[name]
        if isinstance(content, list):
            content = b"\n".join(orjson.dumps(row) for row in content) + b"\n"
        elif isinstance(content, dict):
            content = orjson.dumps(content)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    return {name: folder / name for name in dataset.source.files}


def bbh_contents() -> dict[str, Any]:
    out: dict[str, Any] = {}
    for task in TASKS:
        examples = [{"input": f"{task} {n}?\nOptions:\n(A) one\n(B) two", "target": "(B)"} for n in range(50)]
        out[f"bbh/{task}.json"] = {"canary": "do not train on this", "examples": examples}
        shot = "\n\nQ: {0}+1?\nA: Let's think step by step.\nOne more. So the answer is {1}."
        shots = "".join(shot.format(n, n + 1) for n in range(3))
        out[f"cot-prompts/{task}.txt"] = f"canary\n-----\nAnswer questions of {task}.{shots}\n"
    return out


def test_bbh_takes_forty_questions_a_task_and_three_shots(tmp_path: Path) -> None:
    bbh = dataset("bbh")
    items = bbh.read(put(tmp_path, bbh, bbh_contents()))
    assert len(items) == bbh.size == 1080
    assert set(Counter(item.subset for item in items).values()) == {40}
    prompt = bbh.prompt(items[0])
    assert prompt.count("Answer: ") == bbh.shots + 1, "three examples and the instruction"
    assert "canary" not in prompt
    assert "So the answer is" not in prompt
    assert items[0].details["options"] == {"A": "one", "B": "two"}
    check_dataset(bbh, items)


def korbench_contents(each: int = 250) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for category in CATEGORIES:
        rows = [
            {"idx": str(n), "question": f"{category} {n}?", "answer": f"[[{n}]]", "rule_id": str(n % 25 + 1)}
            for n in range(1, each + 1)
        ]
        folder = f"KOR-Bench/data/{category}"
        out[f"{folder}/sample.jsonl"] = rows
        out[f"{folder}/rule.jsonl"] = [{"idx": str(n), "title": "t", "rule_content": f"rule {n}"} for n in range(1, 26)]
        out[f"{folder}/three-shot.jsonl"] = [
            {"idx": str(3 * n + s), "question": f"shot {n}.{s}", "answer": f"[[{s}]]", "rule_id": str(n)}
            for n in range(1, 26)
            for s in range(3)
        ]
    return out


def test_korbench_has_five_categories_with_the_rule_and_three_shots(tmp_path: Path) -> None:
    korbench = dataset("korbench")
    items = korbench.read(put(tmp_path, korbench, korbench_contents()))
    assert len(items) == korbench.size == 1250
    assert Counter(item.subset for item in items) == dict.fromkeys(CATEGORIES, 250)
    item = next(item for item in items if item.id == "puzzle-9")
    prompt = korbench.prompt(item)
    assert all(part in prompt for part in ("rule 10", "shot 10.0", "shot 10.1", "shot 10.2"))
    assert "shot 9" not in prompt
    assert prompt.count("### Worked question") == korbench.shots
    assert prompt.rstrip().endswith("### Answer")


def test_korbench_scores_every_item_of_every_category_right(tmp_path: Path) -> None:
    """The 45 items that the official code always marks wrong among them; `official` says so."""
    korbench, tools = dataset("korbench"), plain_instruments()
    items = korbench.read(put(tmp_path, korbench, korbench_contents()))
    items = [item for item in items if item.subset != "puzzle"]
    assert {korbench.score(item, f"So: {item.target}", tools).value for item in items} == {1.0}
    assert korbench.official is not None
    wrong = [item.id for item in items if korbench.official(item, f"So: {item.target}", tools).value == 0]
    assert len(wrong) == 45
    assert {name.partition("-")[0] for name in wrong} == {"operation"}


def test_kandk_reads_the_solution_and_all_sizes(tmp_path: Path) -> None:
    kandk = dataset("kandk")
    names = ["Ann", "Cliff", "Bo", "Di", "Ed", "Flo", "Gus", "Hal"]
    contents = {}
    for people in range(2, 9):
        text = "\n".join(
            f"({n}) {name} is a {'knave' if n % 2 else 'knight'}" for n, name in enumerate(names[:people], 1)
        )
        contents[f"test/people{people}_num100.jsonl"] = [
            {"quiz": f"{people} {n}", "names": names[:people], "solution_text_format": text} for n in range(100)
        ]
    items = kandk.read(put(tmp_path, kandk, contents))
    assert len(items) == kandk.size == 700
    assert Counter(item.subset for item in items) == dict.fromkeys(kandk.subsets, 100)
    assert items[0].target == {"Ann": "knave", "Cliff": "knight"}

    def right(item: Item) -> str:
        return "CONCLUSION:\n" + "\n".join(f"{name} is a {role}" for name, role in item.target.items())

    check_dataset(kandk, items, right=right)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Cliff is a knight", {"knight"}),
        ("Cliff: Knave", {"knave"}),
        ("Cliff and Bo are both knaves", {"knave"}),
        ("Bo, Ann, and Cliff are knights", {"knight"}),
        ("Cliff is not a knave", {"knight"}),
        ("If Cliff is a knight, Bo lies", set()),
        ("Suppose Cliff is a knave", set()),
        ("Cliff is either a knight or a knave", set()),
        ("Cliff is a knight. Cliff is a knave.", {"knight", "knave"}),
        ("Clifford is a knight", set()),
    ],
)
def test_kandk_reads_what_is_asserted(text: str, said: set[str]) -> None:
    assert roles(text, ["Cliff", "Bo", "Ann"])["Cliff"] == said


def test_simpleqa_keeps_numbers_and_quotes_as_text(tmp_path: Path) -> None:
    simpleqa = dataset("simpleqa")
    text = "metadata,problem,answer\n\"{'topic': 'Art', 'urls': ['a']}\",\"Which \"\"year\"\"?\",007\n{},When?,1 May\n"
    items = simpleqa.read(put(tmp_path, simpleqa, {"simple_qa_test_set.csv": text}))
    assert [item.id for item in items] == ["simpleqa-0", "simpleqa-1"]
    assert [(item.query, item.target) for item in items] == [('Which "year"?', "007"), ("When?", "1 May")]
    assert items[0].details == {"topic": "Art"}
    assert simpleqa.prompt(items[0]) == 'Which "year"?'
    check_dataset(
        simpleqa, items, instruments=plain_instruments("VERDICT: CORRECT"), right=lambda item: str(item.target)
    )


def test_hle_leaves_out_questions_with_an_image(tmp_path: Path) -> None:
    hle = dataset("hle")
    frame = polars.DataFrame(
        {
            "id": ["a", "b", "c"],
            "question": ["1?", "2?", "3?"],
            "answer": ["1", "2", "3"],
            "answer_type": ["exactMatch"] * 3,
            "category": ["Math"] * 3,
            "image": ["", "data:image/png;base64,xx", None],
            "rationale": ["r"] * 3,
        }
    )
    path = tmp_path / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir()
    frame.write_parquet(path)
    items = hle.read({"data/test-00000-of-00001.parquet": path})
    assert [item.id for item in items] == ["a", "c"]
    assert "Confidence:" in hle.prompt(items[0])
    assert not hle.shown, "its authors ask that the questions are not shown"
    check_dataset(hle, items, instruments=plain_instruments("VERDICT: YES"), right=lambda item: str(item.target))


def arenahard_contents(categories: list[str]) -> dict[str, Any]:
    folder = "data/arena-hard-v2.0"
    rows = [
        {"uid": f"u{n}", "category": category, "subcategory": "s", "language": "en", "prompt": f"Do {n}."}
        for n, category in enumerate(categories)
    ]

    def answers(model: str) -> list[dict[str, Any]]:
        said = [{"role": "assistant", "content": {"answer": f"{model} {row['uid']}"}} for row in rows]
        return [
            {"uid": row["uid"], "model": model, "messages": [{}, message]}
            for row, message in zip(rows, said, strict=True)
        ]

    return {
        f"{folder}/question.jsonl": rows,
        f"{folder}/model_answer/o3-mini-2025-01-31.jsonl": answers("o3-mini"),
        f"{folder}/model_answer/gemini-2.0-flash-001.jsonl": answers("gemini"),
    }


def test_arenahard_takes_the_baseline_of_the_category(tmp_path: Path) -> None:
    arenahard = dataset("arenahard")
    files = put(tmp_path, arenahard, arenahard_contents(["hard_prompt", "creative_writing"]))
    items = arenahard.read(files)
    assert [item.details["baseline"] for item in items] == ["o3-mini u0", "gemini u1"]
    assert [arenahard.prompt(item) for item in items] == ["Do 0.", "Do 1."]
    with pytest.raises(ValueError, match="baseline answer of category 'poems'"):
        arenahard.read(put(tmp_path, arenahard, arenahard_contents(["poems"])))


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("[[5]]", "5"),
        ("see [[your answer]] above; so [[ 6 ]]", "6"),
        ("[[A];[B];[C]]", "A];[B];[C"),
        ("[[[0,1]]]", "[0,1]"),
        ("x[a[0]] and [[7]] and y[b[1]]", "7"),
        ("[[8", None),
        ("", None),
    ],
)
def test_the_last_double_brackets_are_read(text: str, inside: str | None) -> None:
    assert bracketed(text) == inside


def test_a_slow_comparison_is_not_scored() -> None:
    def slow(one: str, other: str) -> bool:
        raise TimeoutError

    item = Item("operation-1", "?", "[[\\sqrt{2}]]", "operation", {"rule_id": "1"})
    tools = Instruments(slow, plain_instruments().run, plain_instruments().ask)
    score = dataset("korbench").score(item, "[[\\frac{2}{\\sqrt{2}}]]", tools)
    assert math.isnan(score.value)
    assert "limit" in score.reason


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1+2*3", 7),
        ("-(2-5)", 3),
        ("8/(3-8/3)", 24),
        ("2**3", None),
        ("(1", None),
        ("1)", None),
        ("", None),
        ("9" * 500, None),
    ],
)
def test_arithmetic_is_parsed_not_executed(text: str, result: int | None) -> None:
    assert value(text) == result


def test_deep_parentheses_do_not_exhaust_the_stack() -> None:
    assert value("(" * 99 + "1" + ")" * 99) == 1
    assert value("-" * 199 + "1") == -1
    assert value("(" * 5000 + "1" + ")" * 5000) is None


@pytest.mark.parametrize(
    ("rule", "question", "right", "wrong"),
    [
        ("11", "X X 3\nX X 7\n4 6\nFill.", "1 2,3 4", "2 1,3 4"),
        ("12", "X X 1\nX X 3\n3 2\nFill.", "1 X,1 1", "1 1,1 1"),
        ("13", "1 X\nX X\nFill.", "1 2\n4 3", "1 3,2 4"),
        ("17", "X X\nX X\n\n(1,1)>(1,2)", "2 1,1 2", "1 2,2 1"),
        ("25", "2 1\n2 X X 1\n1 X X 2\n1 2\nFill.", "1 2,2 1", "2 1,1 2"),
    ],
)  # fmt: skip
def test_puzzles_are_checked_by_their_rule(rule: str, question: str, right: str, wrong: str) -> None:
    assert RULES[rule](question, right)
    assert not RULES[rule](question, wrong)
    assert not RULES[rule](question, "nothing like it")
    assert same_puzzle(rule, question, "unknown reference", right)


def test_a_sudoku_is_checked_by_rows_columns_and_boxes() -> None:
    rows = [[(3 * (r % 3) + r // 3 + c) % 9 + 1 for c in range(9)] for r in range(9)]
    reply = ",".join(" ".join(map(str, row)) for row in rows)
    question = "\n".join(" ".join("X" if (r + c) % 2 else str(rows[r][c]) for c in range(9)) for r in range(9))
    assert RULES["15"](question, reply)
    assert not RULES["15"](question, ",".join(" ".join(map(str, row)) for row in [rows[1], rows[0], *rows[2:]]))


def test_equal_results_need_no_symbolic_comparison() -> None:
    def never(one: str, other: str) -> bool:
        raise AssertionError(f"compared {one} and {other}")

    assert same_operation("5", "5.0", never)
    assert same_operation("{1,2}", "{2,1}", never)
    assert not same_operation("{1,2}", "{1,2,3}", never)
    assert same_operation("{x|x≤-1 or x≥1}", "{x|x≥1 or x≤-1}", never)
    assert same_logic("p∧q", "p \\land q")
    assert not same_logic("H(x,y)", "H(y,x)")


TEN = "Answer: (A)\nAnswer: (B)\n[[1]] [[2]] \\boxed{3}\nCONCLUSION:\nAnn is a knight. Ann is a knave.\n" * 2
ODD = [
    "",
    " \n",
    "<think>Answer: (A)</think>",
    "<think>never closed",
    "\ud800\udfff \ud83d",
    TEN,
    "\x00\x01",
    "[[" * 1000,
]


@pytest.mark.parametrize(
    "reply", [*ODD, pytest.param("(A) [[x]] " * 1_000_000, id="10 MB")], ids=lambda text: repr(text[:12])
)
@pytest.mark.parametrize("name", ["bbh", "kandk", "korbench", "simpleqa", "hle", "arenahard", "swe-bench", "tau2"])
def test_any_reply_is_scored_or_says_why_not(name: str, reply: str) -> None:
    details = {"options": {"A": "x"}, "rule_id": "1", "category": "hard_prompt", "baseline": "b"}
    item = Item("operation-1", "?", {"Ann": "knight"} if name == "kandk" else "(A)", "operation", details)
    with deadline():
        score = dataset(name).score(item, reply, plain_instruments("I cannot say."))
    assert score.scored or score.reason


def test_cards_name_a_pinned_source() -> None:
    for name in ("bbh", "kandk", "korbench", "simpleqa", "hle", "arenahard", "swe-bench", "tau2"):
        card = dataset(name)
        source: Source = card.source
        assert card.name == name
        assert len(source.revision) == 40, f"{name}: the revision must be a commit"
        assert all(not pin or len(pin) == 64 for pin in source.files.values())
