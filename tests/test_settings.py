"""The paper's settings as data, and a user's own."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.settings import BUILT_IN, apply_setting, load_setting, parse_setting
from llmrouterbench.table import Outcomes


def test_sizes_are_those_of_the_papers_table_9() -> None:
    performance, cost = (load_setting(name) for name in BUILT_IN)
    assert sum(d.size or 0 for d in performance.datasets) == 11_480
    assert sum(d.size or 0 for d in cost.datasets) == 12_446
    assert [len(ids) for ids in performance.domains.values()] == [3, 3, 3, 4, 2]


def test_prices_are_those_of_table_8() -> None:
    cost = load_setting("performance-cost")
    gpt5 = next(model for model in cost.models if model.id == "gpt-5")
    assert (gpt5.input_price, gpt5.output_price, gpt5.abbreviation) == (1.25, 10.0, "GPT-5")
    assert cost.prices_date


def outcomes() -> Outcomes:
    table = Outcomes.of(["a", "b", "c"], ["m", "n"], np.ones((3, 2)), dataset=["x", "x", "y"])
    object.__setattr__(table, "subset", np.array(["one", "two", ""]))
    return table


def test_a_setting_takes_its_subset_and_says_what_is_absent() -> None:
    setting = parse_setting(
        'name = "mine"\n[[models]]\nid = "n"\n[[models]]\nid = "gone"\n'
        '[[datasets]]\nid = "x"\nsubsets = ["zero", "two"]\n[[datasets]]\nid = "z"',
        "mine.toml",
    )
    part = apply_setting(outcomes(), setting)
    assert (part.queries.id.tolist(), part.models) == (["1"], ("n",))
    assert part.source["absent"] == ["model gone", "dataset z"]


def test_a_subset_that_is_not_there_is_absent_not_replaced() -> None:
    setting = parse_setting('name = "m"\n[[datasets]]\nid = "x"\nsubsets = ["three"]\n[[datasets]]\nid = "y"', "m.toml")
    part = apply_setting(outcomes(), setting)
    assert part.dataset.tolist() == ["y"]
    assert part.source["absent"] == ["dataset x (wants three, has one or two)"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "must be TOML"),
        ('nam = "x"', "m.toml: unknown key 'nam'; did you mean 'name'"),
        ('name = "x"\n[[models]]\nidd = "m"', r"m.toml: models\[0\]: unknown key 'idd'"),
        ('name = "x"\n[[models]]\nabbreviation = "m"', r"m.toml: models\[0\].id is missing"),
        ('name = "x"\n[[models]]\nid = 3', r"m.toml: models\[0\].id must be text, got 3"),
        ('name = "x"\nmodels = 3', "models must be a list, got 3"),
        ('name = "x"\nreference = "q"\n[[models]]\nid = "m"', "reference must be one of its models, got 'q'"),
        ('description = "x"', "name is missing"),
        ('name = ""', "name must be a text that is not empty"),
        ('name = "x"\n[[models]]\nid = "m"\ninput_price = "1"', r"models\[0\].input_price must be a number, got '1'"),
        ('name = "x"\n[[datasets]]\nid = "m"\nsize = 1.5', r"datasets\[0\].size must be a whole number, got 1.5"),
        ('name = "x"\n[[datasets]]\nid = "m"\nshots = true', r"datasets\[0\].shots must be a whole number, got True"),
        ('name = "x"\n[[datasets]]\nid = "m"\nsubsets = "a"', r"datasets\[0\].subsets must be a list, got 'a'"),
        ('name = "x"\nmodels = [3]', r"models\[0\] must be keys and values, got 3"),
        ("name = " + "[" * 3000, "must have at most 100 levels"),
    ],
)
def test_mistakes_get_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_setting(text, "m.toml")


def test_a_price_stays_as_it_was_written() -> None:
    """Keys of a chain are made from a setting's plain form, in which 1 and 1.0 differ."""
    text = 'name = "x"\n[[models]]\nid = "m"\ninput_price = 1\noutput_price = 1.0\n[[models]]\nid = "n"'
    plain = asdict(parse_setting(text, "m.toml"))
    assert [repr(plain["models"][0][name]) for name in ("input_price", "output_price")] == ["1", "1.0"]
    assert plain["models"][1]["input_price"] is None
    assert parse_setting(text, "a") == parse_setting(text, "b")
    assert hash(parse_setting(text, "a")) == hash(parse_setting(text, "b"))


def test_unknown_names_and_empty_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no setting named 'performanc'; did you mean 'performance'"):
        load_setting("performanc")
    file = tmp_path / "own.toml"
    file.write_text('name = "own"\n[[models]]\nid = "other"\n')
    with pytest.raises(ValueError, match="got none of its models"):
        apply_setting(outcomes(), str(file))
