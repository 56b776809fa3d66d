"""The live page at /dashboard: what the server does now, what its log says, and a place to try it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from llmrouterbench.files import json_bytes
from llmrouterbench.serve.asgi import Scope, client_key, is_local, names_this_machine
from llmrouterbench.serve.live_page.now import sections_now
from llmrouterbench.serve.live_page.summary import Summary
from llmrouterbench.serve.refusals import RefusedError

if TYPE_CHECKING:
    from llmrouterbench.serve.gateway import Gateway

PATH, DATA = "/dashboard", "/dashboard/data"
_REPORT, _OWN = ("reporting", "page"), ("serve", "live_page")
"""Where the style and the script of every page lie, and what is added to them."""


@dataclass(frozen=True)
class Shell:
    """The page without a number in it, which everybody may have, and the headers that it is sent with."""

    body: bytes
    headers: dict[str, str]


@cache
def shell() -> Shell:
    """The page: our own style and script inside it, nothing loaded, nothing asked of another host."""
    style, script = (_file(_REPORT, f"page.{kind}") + _file(_OWN, f"page.{kind}") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    body = _file(_OWN, "page.html").replace("{{ style }}", style).replace("{{ script }}", script)
    headers = {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
    return Shell(body.encode(), headers)


def _file(folder: tuple[str, ...], name: str) -> str:
    return resources.files("llmrouterbench").joinpath(*folder, name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def check_reader(gateway: Gateway, scope: Scope) -> None:
    """Raises RefusedError for whoever is neither on this machine nor has an admin's key.

    A page of another host that its name server led to this machine (DNS rebinding) says that host's name.
    """
    if not client_key(scope) and is_local(scope) and names_this_machine(scope):
        return
    account = gateway.account(scope)
    if gateway.keyring.open or not account.config.admin:
        raise RefusedError(403, "the live page is for this machine, and for keys with `admin: true`", "not_admin")


async def data_of(gateway: Gateway, summary: Summary) -> bytes:
    """What the page shows, as JSON."""
    made = await summary.latest()
    out: dict[str, Any] = {
        "simulated": bool(gateway.chooser.router.facts["simulated"]),
        "now": await sections_now(gateway),
        "log_kept": gateway.log is not None,
        "log": made,
        "reading": summary.reading,
        "trouble": summary.trouble,
    }
    return json_bytes(out)
