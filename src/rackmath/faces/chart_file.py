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
from ..answers.charts import dress
from ..answers.theme import THEMES, config, themed
from ..errors import BadInput
from ..text import legible_in

Spec = dict[str, Any]

SUFFIXES = (".html", ".json", ".png", ".svg")


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
    chosen = legible_in(themed(dress(spec), theme))
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
    if "layer" not in spec:  # panels (`views.trust_charts`), which answer no mouse
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
    data = {"spec": spec, "themes": {name: config(name) for name in THEMES}}
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    parts = {"data": text, "script": script, "title": html.escape(" ".join(spec["title"]["text"]))}
    parts |= {theme: of["ground"] for theme, of in THEMES.items()}
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
