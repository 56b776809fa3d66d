"""Datasets of a user's own: a YAML file, a data file and a built-in scorer."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import polars
import pytest

from llmrouterbench.checks.dataset import check_dataset, plain_instruments
from llmrouterbench.datasets import Dataset, Instruments, identity, load
from llmrouterbench.datasets._own_scorers import close_number, exact
from llmrouterbench.datasets.own import own_dataset, parse_own, scorer_version
from llmrouterbench.replies import Item, Reply
from llmrouterbench.scoring.folder import scorer_of

CAPITALS = "question,city\nCapital of Tinland?,Port Quill\nCapital of Marsh?,Reed\n"
YAML = """
name: capitals
file: capitals.csv
columns: {query: question, target: city}
prompt: "{query} End with a line 'Answer: <city>'."
scorer: exact
"""


JUDGE = "judge: {model: m, template: '$query $target $reply VERDICT: CORRECT VERDICT: INCORRECT'}"


def own(folder: Path, text: str = YAML, data: str = CAPITALS, file: str = "capitals.csv") -> Dataset:
    (folder / file).write_text(data, encoding="utf-8")
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return own_dataset(folder / "own.yaml")


def test_six_lines_are_a_dataset(tmp_path: Path) -> None:
    capitals = own(tmp_path)
    items = load(capitals, tmp_path)
    assert (capitals.name, capitals.size, capitals.kind) == ("capitals", 2, "text")
    assert [(item.id, item.target) for item in items] == [("capitals-1", "Port Quill"), ("capitals-2", "Reed")]
    assert capitals.prompt(items[0]) == "Capital of Tinland? End with a line 'Answer: <city>'."
    check_dataset(capitals, items)
    assert identity(capitals) == "capitals@1"
    assert scorer_of(capitals, "ours") == f"capitals@1+exact:{scorer_version(capitals.score)}", "kept until it changes"


def test_changed_data_are_another_dataset(tmp_path: Path) -> None:
    capitals = own(tmp_path)
    (tmp_path / "capitals.csv").write_text(CAPITALS + "More?,Yes\n")
    with pytest.raises(ValueError, match="sha256"):
        load(capitals, tmp_path)
    assert own_dataset(tmp_path / "own.yaml").size == 3


def test_jsonl_and_parquet_are_read_alike(tmp_path: Path) -> None:
    rows = [{"key": "a", "q": "1+1?", "a": 2, "level": "low"}, {"key": "b", "q": "2+2?", "a": 4, "level": "high"}]
    text = """
name: sums
file: sums.{0}
columns: {{id: key, query: q, target: a, subset: level}}
prompt: "{{query}}"
scorer: number
version: 3
"""
    jsonl = own(tmp_path, text.format("jsonl"), "\n".join(orjson.dumps(row).decode() for row in rows), "sums.jsonl")
    polars.DataFrame(rows).write_parquet(tmp_path / "sums.parquet")
    (tmp_path / "p.yaml").write_text(text.format("parquet"))
    parquet = own_dataset(tmp_path / "p.yaml")
    assert load(jsonl, tmp_path) == load(parquet, tmp_path)
    assert jsonl.subsets == ("high", "low")
    assert [item.id for item in load(parquet, tmp_path, "high")] == ["b"]
    check_dataset(parquet, load(parquet, tmp_path))


LETTERS = """
name: colours
file: colours.csv
columns: {query: question, target: right, options: [one, two, three]}
prompt: "{query}\\n{options}\\nAnswer with the letter."
scorer: letter
"""


@pytest.mark.parametrize("target", ["B", "b", "green"])
def test_letters_come_from_a_letter_or_from_the_words(tmp_path: Path, target: str) -> None:
    colours = own(tmp_path, LETTERS, f"question,one,two,three,right\nGrass?,red,green,blue,{target}\n", "colours.csv")
    (item,) = load(colours, tmp_path)
    assert item.target == "B"
    assert colours.prompt(item) == "Grass?\nA) red\nB) green\nC) blue\nAnswer with the letter."
    tools = plain_instruments()
    assert [colours.score(item, reply, tools).value for reply in ("Answer: (B)", "It is green.\nB", "C", "")] == [
        1,
        1,
        0,
        0,
    ]
    check_dataset(colours, [item])


def test_options_may_be_one_column_of_lists(tmp_path: Path) -> None:
    text = LETTERS.replace("[one, two, three]", "choices").replace("colours.csv", "colours.jsonl")
    row = {"question": "Grass?", "choices": ["red", "green"], "right": "A"}
    colours = own(tmp_path, text, orjson.dumps(row).decode(), "colours.jsonl")
    assert load(colours, tmp_path)[0].details["options"] == ["red", "green"]


def scored(folder: Path, scorer: str, target: str, reply: str, tools: Instruments) -> float:
    text = YAML.replace("scorer: exact", f"scorer: {scorer}").replace("capitals.csv", f"{scorer}.csv")
    text = text.replace("target: city", "tests: city") if scorer == "code" else text
    if scorer == "judge":
        text += "judge:\n  model: o3-mini\n  template: '$query $target $reply VERDICT: CORRECT VERDICT: INCORRECT'\n"
    made = own(folder, text, f'question,city\nQ,"{target}"\n', f"{scorer}.csv")
    return made.score(load(made, folder)[0], reply, tools).value


@pytest.mark.parametrize(
    ("scorer", "target", "reply", "score"),
    [
        ("exact", "Port Quill", "So.\nAnswer: port quill.", 1),
        ("exact", "Port Quill", "**Port Quill**", 1),
        ("exact", "Port Quill", "Answer: Quill", 0),
        ("number", "1,250", "The answer is 1250.", 1),
        ("number", "0.25", "Answer: 25%", 1),
        ("number", "25", "Answer: 25%", 1),
        ("number", "25", "Answer: 24.9", 0),
        ("number", "25", "I do not know.", 0),
        ("math", "x + 1", "\\boxed{x+1}", 1),
        ("math", "x + 1", "Answer: x + 2", 0),
        ("judge", "Reed", "Answer: Reed", 1),
        ("judge", "Reed", "<think>Reed</think>", 0),
    ],
)
def test_built_in_scorers(tmp_path: Path, scorer: str, target: str, reply: str, score: float) -> None:
    assert scored(tmp_path, scorer, target, reply, plain_instruments("VERDICT: CORRECT")) == score


def test_an_unreadable_judgement_is_not_scored(tmp_path: Path) -> None:
    assert math.isnan(scored(tmp_path, "judge", "Reed", "Reed", plain_instruments("Who knows?")))


@pytest.fixture(scope="module")
def sandboxed() -> Instruments:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    from llmrouterbench.sandbox.run import open_sandbox

    return replace(plain_instruments(), run=open_sandbox(workers=1).run)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("```python\ndef f(x):\n    return x + 1\n```", 1),
        (
            "First f(x) = x.\n```python\ndef f(x):\n    return x\n```\nBetter:\n```python\ndef f(x): return x + 1\n```",
            1,
        ),
        ("```python\ndef f(x):\n    return x + 2\n```", 0),
        ("```python\ndef g(x):\n    return x + 1\n```", 0),
        ("```python\nimport os\ndef f(x):\n    os._exit(0)\n```", 0),
        ("No code.", 0),
    ],
)
def test_code_is_run_against_its_tests(tmp_path: Path, sandboxed: Instruments, reply: str, score: float) -> None:
    assert scored(tmp_path, "code", "assert f(1) == 2", reply, sandboxed) == score


def test_two_dollars_in_a_template_are_one(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> Reply:
        asked.append(prompt)
        return Reply("", "", "judge", "VERDICT: CORRECT")

    made = own(tmp_path, YAML.replace("exact", "judge") + JUDGE.replace("$reply", "$reply for $$100"))
    assert made.score(load(made, tmp_path)[0], "$5", replace(plain_instruments(), ask=ask)).value == 1
    assert "for $100 VERDICT" in asked[0]


def test_an_own_judge_has_an_identity(tmp_path: Path) -> None:
    judge = "judge:\n  model: o3-mini\n  template: '$query $target $reply VERDICT: CORRECT VERDICT: INCORRECT'\n"
    made = own(tmp_path, YAML.replace("exact", "judge") + judge)
    assert identity(made).startswith("capitals@1+o3-mini:")
    check_dataset(
        made,
        load(made, tmp_path),
        instruments=plain_instruments("VERDICT: CORRECT"),
        right=lambda item: str(item.target),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (YAML.replace("scorer:", "scorrer:"), "unknown key 'scorrer'; did you mean 'scorer'"),
        (YAML.replace("query: question", "qery: question"), "columns: unknown key 'qery'; did you mean 'query'"),
        (YAML.replace("scorer: exact", "scorer: exakt"), "no scorer named 'exakt'; did you mean 'exact'"),
        (YAML.replace("scorer: exact", ""), "scorer is missing"),
        (YAML.replace("name: capitals", "name: 5"), "name must be text, got 5"),
        (YAML.replace("{query} End", "{qery} End"), "unknown field 'qery'; did you mean 'query'"),
        (YAML.replace("{query} End", "End"), "prompt must contain {query}"),
        (YAML.replace("{query} End", "{query End"), "prompt must be a template"),
        (YAML.replace(", target: city", ""), "scorer 'exact' needs columns.target"),
        (YAML.replace("exact", "code"), "scorer 'code' needs columns.tests"),
        (YAML.replace("exact", "judge"), "judge must stand there for scorer 'judge'"),
        (YAML + "judge: {model: m, template: t}", "judge must stand there for scorer 'judge'"),
        (
            YAML.replace("exact", "judge") + "judge: {model: m, template: $query}",
            "judge.template must contain '\\$target'",
        ),
        (YAML.replace("exact", "judge") + JUDGE.replace("$reply", "$reply for $100"), r"at '\$100 VERDICT.*write \$\$"),
        (
            YAML.replace("exact", "judge") + JUDGE.replace("$reply", "$reply 5 $"),
            r"a \$ that begins no name.*write \$\$",
        ),
        (
            YAML.replace("exact", "judge") + JUDGE.replace("$reply", "$replay"),
            r"field '\$replay'; did you mean 'reply'.*\$\$",
        ),
        (YAML.replace("exact", "judge") + JUDGE.replace("$reply", "$$reply"), "must contain '\\$reply'"),
        (YAML + "shown: 1", "shown must be true or false, got 1"),
        (YAML.replace("scorer: exact", "scorer: ''"), "scorer must be a text that is not empty, got ''"),
        (YAML + "shown: true\nshown: false", "must be YAML, got an error: found key 'shown' twice"),
        ("- a", "must hold keys and values, got list"),
        ("a: [", "must be YAML"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^own.yaml.*{message}"):
        parse_own(text, "own.yaml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("question,town\nQ,A\n", "row 1: no column named 'city'"),
        ("question,city\nQ,A\nQ,\n", "row 2: column 'city' must not be empty"),
        ("question,city\n", "must have rows, got none"),
    ],
)
def test_wrong_data_name_the_row(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own(tmp_path, data=data)


def test_wrong_targets_and_lines_name_the_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 1: target must be an option or its letter \(A to C\), got 'grey'"):
        own(tmp_path, LETTERS, "question,one,two,three,right\nGrass?,red,green,blue,grey\n", "colours.csv")
    with pytest.raises(ValueError, match="row 1: target must be a number for scorer 'number', got 'Port Quill'"):
        own(tmp_path, YAML.replace("exact", "number"))
    with pytest.raises(ValueError, match="line 2 must be one JSON object"):
        own(tmp_path, YAML.replace("csv", "jsonl"), '{"question": "Q", "city": "A"}\n{"que', "capitals.jsonl")
    with pytest.raises(ValueError, match=r"file must end in .csv, .jsonl, .parquet, got .txt"):
        own(tmp_path, YAML.replace("csv", "txt"), "", "capitals.txt")
    with pytest.raises(ValueError, match="row 2: id must be unique, got 'Q' of row 1 again"):
        own(tmp_path, YAML.replace("{query:", "{id: question, query:"), "question,city\nQ,A\nQ,B\n")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("the sun.,sun,moon", r"row 1: options A and B read the same \('the sun.', 'sun'\)"),
        ("x,$x$,y", "options A and B read the same"),
        ("\\frac{1}{2},\\dfrac{1}{2},y", "options A and B read the same"),
        ("O,A,AB", "option B is 'A', the letter of another option"),
        ("mW,MW,kW", ""),
        ("A,B,AB", ""),
        ("x+1,x-1,-x", ""),
        ("-5,5,+5", ""),
        ("x^2,x2,2x", ""),
    ],
)
def test_options_that_no_reply_could_tell_apart_are_refused(tmp_path: Path, options: str, why: str) -> None:
    data = f"question,one,two,three,right\nWhich?,{options},C\n"
    if why:
        with pytest.raises(ValueError, match=why):
            own(tmp_path, LETTERS, data, "colours.csv")
    else:
        assert own(tmp_path, LETTERS, data, "colours.csv").size == 1


NAMES = (
    "St. Louis", "J. R. R. Tolkien", "C#", "C++", "-5 °C", ".NET", "Dr. No", "Sgt. Pepper", "Jan. 5",
    "Panic! at the Disco", "Washington, D.C.", "U.S. Steel", "$5", "5%", "AC/DC", "O'Neil", "7 a.m. daily",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["{}", "Answer: {}", "Answer: **{}**. It is known since 1900.", "\\boxed{{{}}}"])
def test_nothing_is_cut_out_of_a_name(name: str, form: str) -> None:
    assert exact(Item("i", "q", name), form.format(name), plain_instruments()).value == 1
    for part in {name[: len(name) // 2], name.split(".")[0], name.split("!")[0], name.strip("-#+$%.")} - {
        name,
        f"{name[:-1]}",
    }:
        assert exact(Item("i", "q", part), form.format(name), plain_instruments()).value == 0, part


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "llmrouterbench", "datasets", *words], capture_output=True, text=True)


def test_the_command_checks_a_file_and_scores_a_reply(tmp_path: Path) -> None:
    own(tmp_path)
    file = str(tmp_path / "own.yaml")
    checked = command(file)
    assert (checked.returncode, checked.stdout.splitlines()[0]) == (0, "item capitals-1, target 'Port Quill', prompt:")
    assert "capitals keeps the contract of a dataset, items 2" in checked.stderr
    said = command(file, "--item", "capitals-2", "--reply", "Answer: Reed").stdout
    assert said.splitlines() == ["score 1", "read 'Reed', target 'Reed', item capitals-2"]
    scored = orjson.loads(command(file, "--reply", "Answer: Reed", "--json").stdout)
    assert (scored["item"], scored["score"], scored["answer"]) == ("capitals-1", 0, "Reed")
    for words, why in (
        ((file, "--item", "capital-2"), "no item 'capital-2'; did you mean 'capitals-2'?"),
        ((str(tmp_path / "no.yaml"),), "no.yaml"),
        (("--reply", "x"), "need the YAML file"),
    ):
        wrong = command(*words)
        assert wrong.returncode in (1, 2)
        assert why in wrong.stderr
        assert "Traceback" not in wrong.stderr


def test_tests_that_test_nothing_name_the_row(tmp_path: Path) -> None:
    text = YAML.replace("exact", "code").replace("target: city", "tests: city")
    for tests in ("assert 1 == 1", "assert f(1 =="):
        with pytest.raises(ValueError, match="row 1: tests must be Python that uses a name of the solution"):
            own(tmp_path, text, f"question,city\nQ,{tests}\n")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be the YAML file of a dataset, got no file there"):
        own_dataset(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text(YAML)
    with pytest.raises(FileNotFoundError, match=r"file must name the data beside it, got 'capitals.csv'"):
        own_dataset(tmp_path / "own.yaml")


def test_a_number_that_no_float_holds_is_a_wrong_number() -> None:
    score = close_number(Item("1", "?", 5), "Answer: " + "9" * 400, plain_instruments())
    assert (score.value, score.answer) == (0.0, "a number beyond 1e308")
