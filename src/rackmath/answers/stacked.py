"""Several charts one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from .charts import SCHEMA, Spec, dress


def stack(specs: Sequence[Spec], *, title: str) -> Spec:
    """Several charts one above the other as one specification; a terminal draws them one at a time.

    Panels over the same x axis share it: only the last one writes it, and three or more are lower.

    >>> from rackmath.answers.charts import Axis, Series, curve
    >>> one = curve([Series("a", [1, 2], [3, 4])], title="One", x=Axis("x"), y=Axis("y"))
    >>> [len(part["data"]["values"]) for part in stack([one, one], title="Two")["vconcat"]]
    [2, 2]
    """
    parts = []
    for i, spec in enumerate(map(dress, specs)):
        if "datasets" not in spec:  # ranges and lanes hold their data themselves
            whole_only = ("$schema", "description", "config", "layer", "usermeta")
            kept = {k: v for k, v in spec.items() if k not in whole_only}
            parts.append(kept | {"layer": [_renamed(layer, str(i)) for layer in spec["layer"]]})
            continue
        part = {k: spec[k] for k in ("title", "width", "height", "encoding")}
        part["layer"] = [_renamed(layer, str(i)) for layer in spec["layer"]]
        parts.append(part | {"data": {"values": spec["datasets"][spec["data"]["name"]]}})
    ends = [spec.get("usermeta", {}).get("rackmath", {}).get("x") for spec in specs]
    if ends[0] and all(end == ends[0] for end in ends):
        parts = _over_one_axis(parts)
    whole = {
        "$schema": SCHEMA,
        "description": f"{title}: " + "; ".join(spec["description"] for spec in specs),
        "title": {"text": wrap(title, 70) or [""]},
        "vconcat": parts,
        "config": specs[0]["config"],
    }
    named = [set(spec.get("usermeta", {}).get("rackmath", {}).get("series", ())) for spec in specs]
    if not all(names and names <= named[0] for names in named):  # one legend would mix lines of several charts
        apart = dict.fromkeys(("color", "strokeDash", "shape"), "independent")
        whole["resolve"] = {"scale": apart, "legend": apart}
    return whole


LOW = 240
"""Height of one of three or more panels over one axis, in pixels."""


def _over_one_axis(parts: list[Spec]) -> list[Spec]:
    """The panels, of which only the last writes the x axis that they share."""
    found = []
    for i, part in enumerate(parts):
        x = part["encoding"]["x"]
        bare = x["axis"] if i == len(parts) - 1 else x["axis"] | {"title": None, "labels": False}
        shared = {"encoding": part["encoding"] | {"x": x | {"axis": bare}}}
        found.append(part | shared | ({"height": LOW} if len(parts) > 2 else {}))
    return found


def _renamed(layer: Spec, tail: str) -> Spec:
    """The layer under a name of its own: views and parameters of one specification must not share any."""
    named = layer | {"name": f"{layer['name']} {tail}"}
    if layer["name"] == "hover":
        opacity = layer["encoding"]["opacity"]
        opacity = opacity | {"condition": opacity["condition"] | {"param": f"hover_{tail}"}}
        named["params"] = [layer["params"][0] | {"name": f"hover_{tail}"}]
        named["encoding"] = layer["encoding"] | {"opacity": opacity}
    return named
