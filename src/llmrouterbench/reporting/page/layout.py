"""From values to HTML: template, style, scripts and figures in one file that may load nothing."""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrouterbench.reporting.page.packing import json_in_html

if TYPE_CHECKING:
    from llmrouterbench.reporting.exhibits import Exhibits
    from llmrouterbench.reporting.figures.picture import Picture
    from llmrouterbench.reporting.page.explorer import Explorer

_SCRIPTS = ("page.js", "tables.js", "plot.js", "verdict.js", "explorer.js", "start.js")
_MOST_FIGURES, _MOST_A_FIGURE = 1_500_000, 250_000
"""Bytes of all figures and of one; larger ones stay beside the page."""
_COLOURS = 128


def rendered(view: dict[str, Any], held: Explorer | None) -> str:
    """The page as HTML; without the explorer's data where there are none yet."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llmrouterbench.reporting.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = asset("page.css"), "\n".join(map(asset, _SCRIPTS))
    return environment.get_template("page.html.j2").render(
        **view,
        style=style,
        script=script,
        policy=policy(style, script),
        plot_json=json_in_html(view["plot"]),
        stops_json=json_in_html(view["verdict"]["stops"] if view["verdict"] else []),
        held=held,
    )


@cache
def asset(name: str) -> str:
    """A file of this package as text."""
    return (resources.files("llmrouterbench.reporting.page") / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """What the page may do: run its own script, use its own style and pictures inside itself, and nothing else."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def pictures_of(exhibits: Exhibits | None, drawn: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Figures as pictures inside the page, and sentences on those that are not there.

    `drawn` is a folder with their PNG files, where they have been drawn already.
    """
    if exhibits is None:
        return [], []
    found: list[dict[str, Any]] = []
    left_out = [f"{exhibits.title_of(name)}: {why}." for name, why in exhibits.left_out.items()]
    total = 0
    for name, picture in exhibits.pictures.items():
        title, data = exhibits.title_of(name), small_png(picture, drawn / f"{name}.png" if drawn else None)
        if len(data) > _MOST_A_FIGURE or total + len(data) > _MOST_FIGURES:
            left_out.append(f"{title}: too large for this page; it stands beside it as {name}.png.")
            continue
        total += len(data)
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        found.append({"title": title, "notes": " ".join(picture.notes), "source": source})
    return found, left_out


def small_png(picture: Picture, drawn: Path | None) -> bytes:
    """The drawing as PNG with few colours, a third of its usual size; `drawn` is the file of it, where there is one."""
    from PIL import Image

    out, source = io.BytesIO(), io.BytesIO()
    if drawn is None:
        picture.figure.savefig(source, format="png", metadata={"Software": None})
    else:
        source = io.BytesIO(drawn.read_bytes())
    Image.open(source).convert("RGB").quantize(_COLOURS).save(out, format="png", optimize=True)
    return out.getvalue()
