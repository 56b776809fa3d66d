"""Every registered router keeps the contract; routers that break it are caught."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import broken_contracts
from broken_contracts import BROKEN_DATASETS, BROKEN_ROUTERS, Bare, Fitless, Secretive
from llmrouterbench.checks.contract import ContractError
from llmrouterbench.checks.router import (
    ROUTER_CHECKS,
    check_beats_best_single,
    check_fit_returns_itself,
    check_router,
    planted_table,
)
from llmrouterbench.contracts import Router
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.routers import make_router, registry, router_names

# Routers with an encoder to train run the same contract, with tiny encoders, in test_routers_finetuned.py.
QUICK = [name for name in router_names() if "finetune" not in registry()[name].needs]


@pytest.mark.parametrize("check", ROUTER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", QUICK)
def test_contract(name: str, check: Callable[[Router], None]) -> None:
    if name == "best_single" and check is check_beats_best_single:
        return  # it is the baseline itself
    check(make_router(name))


@pytest.mark.parametrize(
    ("router", "sentence"),
    BROKEN_ROUTERS,
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_a_broken_router_is_caught(router: Router, sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_router(router)
    assert sentence in str(caught.value)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_every_check_names_a_router_of_no_use() -> None:
    """Each check on its own says what the whole contract says."""
    for check in ROUTER_CHECKS:
        for router in (Fitless, Fitless(), *([] if check is check_fit_returns_itself else [Bare()])):
            with pytest.raises(ContractError):
                check(router)  # type: ignore[arg-type]


def test_contracts_are_checked_without_assert_as_well() -> None:
    """`python -O` takes assert statements out."""
    said = subprocess.run([sys.executable, "-O", broken_contracts.__file__], capture_output=True, text=True, check=True)
    sentences = said.stdout.splitlines()
    wanted = [sentence for _, sentence in (*BROKEN_ROUTERS, *BROKEN_DATASETS)]
    assert len(sentences) == len(wanted)
    assert [one for one, part in zip(sentences, wanted, strict=True) if part not in one] == []


def test_an_attribute_without_a_plain_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="router.secret_ must be a plain value to be saved, got object"):
        save_router(Secretive().fit(planted_table(50)), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a saved router"):
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
