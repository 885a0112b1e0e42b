"""Saving a chart as SVG, PNG, self-contained HTML or JSON, in a light or a dark theme."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import writing
from ..errors import BadInput, did_you_mean
from ..text import legible_in
from .chart_scale import FONT

Spec = dict[str, Any]

SUFFIXES = (".html", ".json", ".png", ".svg")

_THEMES: dict[str, dict[str, Any]] = {
    "light": {
        "ground": "#ffffff",
        "ink": "#1c2330",
        "soft": "#5b6472",
        "grid": "#e3e7ed",
        "series": ["#1f63c6", "#d9571c", "#1b8f5a", "#7d4cc2", "#c22f6d", "#97730a", "#1690a7", "#6b7280"],
    },
    "dark": {
        "ground": "#12161d",
        "ink": "#e8ecf2",
        "soft": "#a3adbb",
        "grid": "#2a313c",
        "series": ["#6ea8ff", "#ff9a62", "#58cf98", "#b794f6", "#f57fb0", "#e0bb4d", "#58c8de", "#aab2bf"],
    },
}


def config(theme: str) -> Spec:
    """The Vega-Lite `config` of a theme, "light" or "dark": every colour and font of a chart."""
    if theme not in _THEMES:
        raise BadInput(f"unknown theme {theme!r}{did_you_mean(theme, _THEMES) or '; known: light, dark'}")
    of = _THEMES[theme]
    return {
        "background": of["ground"],
        "font": "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
        "padding": 16,
        "view": {"stroke": None},
        "title": {
            "anchor": "start",
            "frame": "group",
            "fontSize": 16,
            "fontWeight": 600,
            "offset": 12,
            "color": of["ink"],
        },
        "axis": {
            "labelColor": of["soft"],
            "labelFontSize": 11.5,
            "labelPadding": 5,
            "titleColor": of["ink"],
            "titleFontSize": 12.5,
            "titleFontWeight": 500,
            "titlePadding": 10,
            "gridColor": of["grid"],
            "domainColor": of["soft"],
            "tickColor": of["soft"],
            "tickSize": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelColor": of["ink"],
            "labelFontSize": 12,
            "labelLimit": 260,
            "symbolStrokeWidth": 2.2,
            "columnPadding": 18,
            "offset": 10,
            "padding": 0,
        },
        "range": {"category": of["series"]},
        "style": {
            "label": {"color": of["ink"], "fontSize": FONT, "fontWeight": 500},
            "halo": {
                "color": of["ground"],
                "stroke": of["ground"],
                "strokeWidth": 4,
                "strokeJoin": "round",
                "fontSize": FONT,
                "fontWeight": 500,
            },
            "rule-mark": {"color": of["soft"], "strokeWidth": 1.2, "strokeDash": [2, 3]},
            "spot": {"color": of["ink"]},
            "ring": {"color": of["ink"], "strokeWidth": 1.8},
        },
    }


def themed(spec: Spec, theme: str) -> Spec:
    """The same chart in another theme."""
    return spec | {"config": config(theme)}


def write(spec: Spec, path: str | os.PathLike[str], *, theme: str = "light") -> Path:
    """Save a chart; the ending of the path says how: .svg, .png (twice the size, for sharp screens), .html or .json.

    The HTML page needs no network: the drawing code is inside it, and it follows the reader's light or dark
    preference whatever `theme` says. The file appears complete or not at all.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        named = f"the ending {suffix!r}" if suffix else "no ending"
        raise BadInput(f"cannot write a chart to '{target}': it has {named}; use one of {', '.join(SUFFIXES)}")
    _folder(target)
    chosen = legible_in(themed(spec, theme))
    if suffix == ".json":
        return save(target, json.dumps(chosen, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    convert = _converter(target)
    if suffix == ".html":
        return save(target, _page(chosen, convert.javascript_bundle()).encode())
    still = _still(chosen)
    if suffix == ".svg":
        return save(target, convert.vegalite_to_svg(still, allowed_base_urls=[]).encode())
    return save(target, convert.vegalite_to_png(still, scale=2.0, allowed_base_urls=[]))


def _still(spec: Spec) -> Spec:
    """The chart, or the stack of charts, without the layers that answer a mouse."""
    if "vconcat" in spec:
        return spec | {"vconcat": [_still(part) for part in spec["vconcat"]]}
    if "layer" not in spec:  # panels (`chart_trust`), which answer no mouse
        return spec
    return spec | {"layer": [layer for layer in spec["layer"] if not layer.get("name", "").startswith("hover")]}


def save(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file: `rackmath.writing.write`."""
    return writing.write(path, data)


def _folder(target: Path) -> None:
    if not target.parent.is_dir():
        raise BadInput(f"cannot write '{target}': the folder '{target.parent}' does not exist; create it first")


def _converter(target: Path) -> ModuleType:
    try:
        import vl_convert
    except ImportError as error:
        raise BadInput(
            f"cannot write '{target}': pictures need the package vl-convert-python; "
            "install it with: pip install 'rackmath[charts]' (or write .json, which needs nothing)"
        ) from error
    return vl_convert


def _page(spec: Spec, script: str) -> str:
    """A page with the chart and the code that draws it; a `<` in the data cannot end the script."""
    data = {"spec": spec, "themes": {name: config(name) for name in _THEMES}}
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    parts = {"data": text, "script": script, "title": html.escape(" ".join(spec["title"]["text"]))}
    parts |= {theme: of["ground"] for theme, of in _THEMES.items()}
    return re.sub("@([a-z]+)@", lambda found: parts[found[1]], _PAGE)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';
 style-src 'unsafe-inline'; img-src data: blob:">
<title>@title@</title>
<style>
body { margin: 0; padding: 2rem 1rem; background: @light@; }
#chart { display: block; width: 100%; max-width: 60rem; margin: 0 auto; }
#chart svg.marks { width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { background: @dark@; } }
</style>
</head>
<body>
<div id="chart"></div>
<script type="text/javascript">@script@</script>
<script type="text/javascript">
const given = @data@;
const dark = matchMedia("(prefers-color-scheme: dark)");
function show() {
  const theme = dark.matches ? "dark" : "light";
  const spec = Object.assign({}, given.spec, { config: given.themes[theme] });
  vegaEmbed("#chart", spec, {
    renderer: "svg",
    tooltip: { theme },
    actions: { export: true, source: false, compiled: false, editor: false },
  });
}
dark.addEventListener("change", show);
show();
</script>
</body>
</html>
"""
