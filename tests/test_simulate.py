import csv
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB

from llmrouterbench.settings import BUILT_IN, apply_setting, load_setting
from llmrouterbench.simulation._text import random_stream, vocabulary, write_queries
from llmrouterbench.simulation.simulate import (
    light_prices,
    paper_oracle,
    paper_table,
    setting_queries,
    simulate,
)
from llmrouterbench.splits import make_split
from llmrouterbench.table import FloatArray, Outcomes

PAPER = Path(__file__).resolve().parents[2] / "shared" / "paper"
UNPRICED = {
    "GLM-Z1-9B-0414",
    "MiMo-7B-RL-0530",
    "MiniCPM4.1-8B",
    "OpenThinker3-7B",
    "Qwen2.5-Coder-7B-Instruct",
    "cogito-v1-preview-llama-8B",
    "glm-4-9b-chat",
    "granite-3.3-8b-instruct",
    "internlm3-8b-instruct",
}


at_full_size = pytest.mark.slow
"""Whichever of them comes first simulates a setting as large as the paper's."""


@cache
def full(setting: str, seed: int = 0) -> Outcomes:
    return simulate(setting, seed)


def rows_of(outcomes: Outcomes, dataset: str) -> Outcomes:
    return outcomes.take(np.flatnonzero(outcomes.dataset == dataset))


@at_full_size
@pytest.mark.parametrize("setting", BUILT_IN)
@pytest.mark.parametrize("seed", [0, 7])
def test_means_equal_tables_4_and_5_to_the_printed_digit(setting: str, seed: int) -> None:
    outcomes = full(setting, seed)
    table = paper_table(f"{setting}_accuracy")
    assert len(table) == (20 * 15 if setting == "performance" else 13 * 10 - 1)
    for dataset in outcomes.datasets:
        means = 100 * rows_of(outcomes, dataset).score.mean(axis=0)
        printed = np.array([table.get((model, dataset), np.nan) for model in outcomes.models])
        np.testing.assert_allclose(means, printed, atol=0.00501, err_msg=dataset)


@at_full_size
@pytest.mark.parametrize("seed", [0, 7])
def test_costs_equal_table_6_to_the_cent(seed: int) -> None:
    outcomes = full("performance-cost", seed)
    table = paper_table("performance-cost_cost")
    for dataset in outcomes.datasets:
        sums = rows_of(outcomes, dataset).cost.sum(axis=0)
        for model, total in zip(outcomes.models, sums.tolist(), strict=True):
            if (model, dataset) in table:
                assert round(total, 2) == table[model, dataset], (model, dataset)
            else:
                assert np.isnan(total)


@at_full_size
@pytest.mark.parametrize("setting", BUILT_IN)
@pytest.mark.parametrize("seed", [0, 7])
def test_oracle_lies_near_the_paper(setting: str, seed: int) -> None:
    outcomes = full(setting, seed)
    for dataset, wanted in paper_oracle(setting).items():
        best = rows_of(outcomes, dataset).score.max(
            axis=1, where=~np.isnan(rows_of(outcomes, dataset).score), initial=0
        )
        assert abs(100 * np.mean(best > 0) - wanted) < max(0.75, 100 / len(best)), dataset


@at_full_size
def test_shape_is_the_papers() -> None:
    light, flagship = full("performance"), full("performance-cost")
    # One MMLU-Pro record more than the paper's 11,480 queries: Table 4 needs it, see `mmlupro_rows`.
    assert light.score.shape == (11_481, 20)
    assert np.isfinite(flagship.score).sum() == 161_520
    sizes = {entry.id: entry.size for entry in load_setting("performance-cost").datasets}
    assert {name: int((flagship.dataset == name).sum()) for name in flagship.datasets} == sizes
    missing = np.flatnonzero(np.isnan(rows_of(flagship, "tau2").score).all(axis=0))
    assert [flagship.models[i] for i in missing] == ["gpt-5-chat"]
    assert np.unique(rows_of(flagship, "arenahard").score).tolist() == [0.0, 0.5, 1.0]
    assert np.unique(light.score).tolist() == [0.0, 1.0]


@at_full_size
@pytest.mark.parametrize("setting", BUILT_IN)
def test_everything_is_labelled_and_selectable(setting: str) -> None:
    outcomes = full(setting)
    assert outcomes.simulated
    assert outcomes.source["simulated"] is True
    assert outcomes.source["seed"] == 0
    subset = {name: set(rows_of(outcomes, name).subset.tolist()) for name in outcomes.datasets}
    assert subset["aime"] == {"hybrid"}
    assert subset["mmlupro"] == {"test_1000" if setting == "performance" else "test_3000"}
    assert subset["gpqa"] == {"test"}
    selected = apply_setting(outcomes, setting)
    assert selected.content_hash == outcomes.content_hash
    assert selected.source["absent"] == []


@at_full_size
def test_tokens_and_prices_agree() -> None:
    light, flagship = full("performance"), full("performance-cost")
    assert np.nansum(light.tokens_in + light.tokens_out) / 1e6 == pytest.approx(745.0, rel=0.001)
    assert np.nansum(flagship.tokens_in + flagship.tokens_out) / 1e6 == pytest.approx(1030.3, rel=0.001)
    models = {entry.id: entry for entry in load_setting("performance-cost").models}
    for i, model in enumerate(flagship.models):
        prices = models[model].input_price, models[model].output_price
        assert None not in prices
        bill = flagship.tokens_in[:, i] * (prices[0] or 0) + flagship.tokens_out[:, i] * (prices[1] or 0)
        np.testing.assert_allclose(flagship.cost[:, i], bill / 1e6)
    assert {light.models[i] for i in np.flatnonzero(np.isnan(light.cost).all(axis=0))} == UNPRICED
    assert np.isnan(light_prices(light.models)[0]).sum() == 9
    assert np.isfinite(light.tokens_out).all()


@at_full_size
def test_hard_queries_and_wrong_replies_cost_more() -> None:
    outcomes = full("performance-cost")
    for dataset in ("aime", "hle", "mmlupro"):
        part = rows_of(outcomes, dataset)
        gpt = part.select(["gpt-5"])
        assert gpt.cost[gpt.score == 0].mean() > 1.2 * gpt.cost[gpt.score == 1].mean()
        solved_by = part.score.mean(axis=1)
        assert np.corrcoef(np.log(part.cost).mean(axis=1), solved_by)[0, 1] < -0.3


def test_same_seed_same_data_other_seed_other_data() -> None:
    first, again, other = (simulate("performance", seed, scale=0.05) for seed in (3, 3, 4))
    assert first.content_hash == again.content_hash
    assert list(first.queries.prompt) == list(again.queries.prompt)
    assert first.content_hash != other.content_hash
    assert list(first.queries.text) != list(other.queries.text)


@at_full_size
def test_settings_share_the_queries_of_common_datasets() -> None:
    light, flagship = full("performance"), full("performance-cost")
    for dataset in ("aime", "gpqa", "livecodebench"):
        assert list(rows_of(light, dataset).queries.prompt) == list(rows_of(flagship, dataset).queries.prompt)
    small, large = (set(rows_of(one, "mmlupro").queries.prompt) for one in (light, flagship))
    assert len(small) == 1000
    assert small < large


@at_full_size
def test_some_datasets_repeat_prompts_under_unique_ids() -> None:
    repeats = {}
    for setting in BUILT_IN:
        outcomes = full(setting)
        assert len(set(outcomes.queries.id.tolist())) == len(outcomes)
        for dataset in outcomes.datasets:
            part = rows_of(outcomes, dataset)
            repeats[f"{dataset}/{part.subset[0]}"] = len(part) - len(np.unique(part.group))
    found = {name: count for name, count in repeats.items() if count}
    assert found == {
        "korbench/test": 2,
        "finqa/test": 1,
        "emorynlp/test": 1,
        "hle/test": 3,
        "arenahard/test": 3,
        "mmlupro/test_1000": 1,
    }


def test_scale_shrinks_every_dataset() -> None:
    outcomes = simulate("performance-cost", scale=0.1)
    assert len(outcomes) == pytest.approx(1245, abs=10)
    table = paper_table("performance-cost_accuracy")
    simpleqa = rows_of(outcomes, "simpleqa")
    for model, mean in zip(simpleqa.models, simpleqa.score.mean(axis=0), strict=True):
        assert 100 * mean == pytest.approx(table[model, "simpleqa"], abs=0.2)
    assert len(simulate("performance-cost", scale=0.001)) == 23


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"setting": "performance-costs"}, "did you mean 'performance-cost'"),
        ({"scale": 0.0}, "scale must be above 0 and at most 1, got 0.0"),
        ({"scale": 1.5}, "scale must be above 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        simulate(**arguments)  # type: ignore[arg-type]


def test_unknown_vocabulary_gets_a_suggestion() -> None:
    with pytest.raises(KeyError, match="did you mean 'aime'"):
        vocabulary("aimee")
    with pytest.raises(KeyError, match="no simulated dataset named 'shared'"):
        vocabulary("shared")


def test_streams_depend_on_every_name() -> None:
    draws = {random_stream(0, *names).random() for names in (("a",), ("b",), ("a", "b"), ("ab",))}
    assert len(draws) == 4


def test_texts_read_like_queries() -> None:
    queries = write_queries("medqa", 500, 0)
    words = np.array([text.count(" ") + 1 for text in queries.text])
    assert words.min() >= 15
    assert words.max() <= 55
    assert all(text[0].isupper() and text.endswith("?") and "{" not in text for text in queries.text)
    assert all(text in prompt for text, prompt in zip(queries.text, queries.prompt, strict=True))
    assert words[queries.difficulty > 1].mean() > words[queries.difficulty < -1].mean() + 5


def embeddings(texts: list[str], others: list[str]) -> tuple[FloatArray, FloatArray]:
    words = TfidfVectorizer(sublinear_tf=True)
    axes = TruncatedSVD(64, random_state=0)
    both = axes.fit_transform(words.fit_transform(texts)), axes.transform(words.transform(others))
    first, second = (np.asarray(one) / np.linalg.norm(one, axis=1, keepdims=True) for one in both)
    return first, second


def test_text_tells_the_dataset() -> None:
    outcomes = simulate("performance", scale=0.1)
    split = make_split(outcomes, 42)
    text = list(outcomes.queries.text)
    train, test = embeddings([text[i] for i in split.train], [text[i] for i in split.test])
    model = LogisticRegression(C=10).fit(train, outcomes.dataset[split.train])
    assert model.score(test, outcomes.dataset[split.test]) > 0.95


def test_text_tells_part_of_the_topic() -> None:
    queries = write_queries("medqa", 1200, 0)
    words = TfidfVectorizer()
    model = MultinomialNB().fit(words.fit_transform(queries.text[:900]), queries.topic[:900])
    found = model.predict(words.transform(queries.text[900:]))
    assert 0.75 < np.mean(found == queries.topic[900:]) <= 1.0


@at_full_size
def test_routing_pays_as_in_the_paper() -> None:
    """Best single < clusters of training queries < oracle, and knowing the topic beats knowing the dataset."""
    outcomes = full("performance")
    split = make_split(outcomes, 42, kind="paper")
    train, test = outcomes.take(split.train), outcomes.take(split.test)

    def mean(score: FloatArray) -> float:
        return 100 * float(np.mean([score[test.dataset == name].mean() for name in test.datasets]))

    near, far = embeddings(list(train.queries.prompt), list(test.queries.prompt))
    clusters = KMeans(64, random_state=42, n_init=2).fit(near)
    best = np.array([train.score[clusters.labels_ == j].mean(axis=0).argmax() for j in range(64)])
    routed = mean(test.score[np.arange(len(test)), best[clusters.predict(far)]])
    single = max(mean(test.score[:, i]) for i in range(len(test.models)))
    by_dataset = mean(np.array([test.score[test.dataset == name].mean(axis=0).max() for name in test.dataset]))
    oracle = mean(test.score.max(axis=1))
    assert single + 1.5 < routed < by_dataset + 1.5
    assert single + 3 < by_dataset < oracle - 10


@at_full_size
@pytest.mark.parametrize("setting", BUILT_IN)
def test_topics_carry_a_little_more_than_datasets(setting: str) -> None:
    """The best model of each topic on even rows beats the best model of the dataset, both judged on odd rows."""
    outcomes = full(setting)
    gains = []
    for dataset in outcomes.datasets:
        score = np.nan_to_num(rows_of(outcomes, dataset).score)
        topic = setting_queries(setting, dataset, 0).topic
        odd, total = np.arange(len(score)) % 2 == 1, 0.0
        for t in np.unique(topic):
            best = score[~odd & (topic == t)].mean(axis=0).argmax()
            total += score[odd & (topic == t), best].sum()
        gains.append(100 * (total / odd.sum() - score[odd, score[~odd].mean(axis=0).argmax()].mean()))
    assert 0.0 < np.mean(gains) < 2.5
    assert max(gains) > 1.0


@pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's tables (shared/paper) are not on this machine")
@pytest.mark.parametrize(
    ("file", "setting", "table"),
    [
        ("table04_performance_accuracy_full.csv", "performance", "performance_accuracy"),
        ("table05_cost_setting_accuracy_full.csv", "performance-cost", "performance-cost_accuracy"),
        ("table06_cost_setting_cost_usd_full.csv", "performance-cost", "performance-cost_cost"),
    ],
)
def test_package_tables_equal_the_papers(file: str, setting: str, table: str) -> None:
    used = load_setting(setting)
    models = {entry.abbreviation: entry.id for entry in used.models}
    datasets = {entry.name: entry.id for entry in used.datasets}
    with (PAPER / file).open() as lines:
        printed = {
            (models[row["model"]], datasets[name]): float(value)
            for row in csv.DictReader(lines)
            for name, value in row.items()
            if name in datasets and value
        }
    assert paper_table(table) == printed


@pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's tables (shared/paper) are not on this machine")
@pytest.mark.parametrize(
    ("file", "setting"),
    [
        ("table11_performance_accuracy_test.csv", "performance"),
        ("table12_cost_setting_accuracy_test.csv", "performance-cost"),
    ],
)
def test_package_oracle_equals_the_papers(file: str, setting: str) -> None:
    datasets = {entry.name: entry.id for entry in load_setting(setting).datasets}
    with (PAPER / file).open() as lines:
        row = next(row for row in csv.DictReader(lines) if row["model_or_router"] == "Oracle")
    assert paper_oracle(setting) == {id: float(row[name]) for name, id in datasets.items()}


def test_word_lists_keep_datasets_and_topics_apart() -> None:
    path = Path(__file__).resolve().parents[1] / "src" / "llmrouterbench" / "data" / "simulated_words.toml"
    tables = tomllib.loads(path.read_text())
    shared = {word for line in tables.pop("shared").values() for word in line.split()}
    for dataset in tables:
        own = vocabulary(dataset)
        assert len(own.words) >= 6
        assert not shared & set(own.words), dataset
        topics = [word for topic in own.topics for word in topic]
        assert len(set(topics)) == len(topics), dataset
        assert "{query}" in own.template
