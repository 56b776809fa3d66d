"""Every registered router keeps the contract; routers that break it are caught."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from llmrouterbench.checks.router import ROUTER_CHECKS, check_beats_best_single, check_router, planted_table
from llmrouterbench.contracts import Router
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.routers import make_router, registry, router_names
from llmrouterbench.table import Estimate, Outcomes, Queries

# Routers with an encoder to train run the same contract, with tiny encoders, in test_routers_finetuned.py.
QUICK = [name for name in router_names() if "finetune" not in registry()[name].needs]


@pytest.mark.parametrize("check", ROUTER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", QUICK)
def test_contract(name: str, check: Callable[[Router], None]) -> None:
    if name == "best_single" and check is check_beats_best_single:
        return  # it is the baseline itself
    check(make_router(name))


class Cheat:
    """Keeps the contract but for what a subclass breaks."""

    def fit(self, train: Outcomes) -> Self:
        self.models_ = train.models
        self.mean_ = np.nan_to_num(np.nanmean(train.score, axis=0)) if len(train) else np.zeros(1)
        return self

    def predict(self, queries: Queries) -> Estimate:
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.broadcast_to(self.mean_, shape), np.full(shape, np.nan))


class Restless(Cheat):
    def predict(self, queries: Queries) -> Estimate:
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.random.default_rng().random(shape), np.full(shape, np.nan))


class Neighbourly(Cheat):
    def predict(self, queries: Queries) -> Estimate:
        score = np.zeros((len(queries), len(self.models_)))
        score[:, 0] = len(queries) > 30
        score[:, 1] = 0.5
        return Estimate(self.models_, score, np.full(score.shape, np.nan))


class Selfless(Cheat):
    def fit(self, train: Outcomes) -> Self:
        super().fit(train)
        return None  # type: ignore[return-value]


class Secretive(Cheat):
    def fit(self, train: Outcomes) -> Self:
        self.secret_ = object()
        return super().fit(train)


@pytest.mark.parametrize(
    ("router", "sentence"),
    [
        (Selfless(), "fit must return the router itself"),
        (Restless(), "must decide the same when it is fitted again"),
        (Neighbourly(), "must depend on its own query only"),
        (Cheat(), "a planted signal must be found"),
    ],
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_a_broken_router_is_caught(router: Router, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_router(router)


def test_an_attribute_without_a_plain_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="router.secret_ must be a plain value to be saved, got object"):
        save_router(Secretive().fit(planted_table(50)), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must hold a router.json"):
        load_router(tmp_path)
    save_router(make_router("avengers", k=4).fit(planted_table(50)), tmp_path / "r")
    text = (tmp_path / "r" / "router.json").read_text()
    (tmp_path / "r" / "router.json").write_text(
        text.replace("llmrouterbench.routers.avengers:Avengers", "subprocess:Popen")
    )
    with pytest.raises(ValueError, match="must name a router, got 'subprocess:Popen'"):
        load_router(tmp_path / "r")
    data = bytearray((tmp_path / "r" / "arrays.npz").read_bytes())
    data[200] ^= 1
    (tmp_path / "r" / "arrays.npz").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="must be the file that was saved"):
        load_router(tmp_path / "r")
