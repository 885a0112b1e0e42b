"""A calibrated engine as a file of the user's own."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ..world import saved as own
from .calibrate import Calibration


def save(found: Calibration, name: str, *, force: bool = False, today: str | None = None) -> Path:
    """Keep the fit as an engine of the user's own; from then on `name` is an engine."""
    return own.write(name, text(found, name, today or datetime.date.today().isoformat()), force=force)


def text(found: Calibration, name: str, today: str) -> str:
    """The file of a user's engine."""
    chosen = found.chosen
    dates = sorted({p.point.run.row.date for p in found.points if p.point.run.row.date})
    source: dict[str, Any] = {
        "file": ", ".join(found.files[:3]) + (f" and {len(found.files) - 3} more" if len(found.files) > 3 else ""),
        "tool": ", ".join(chosen.tools),
        "points": len(found.points),
        "models": list(dict.fromkeys(p.point.model.name for p in found.points)),
        "machine": chosen.machine.name,
        "layouts": list(dict.fromkeys(p.point.run.row.decode.layout.label() for p in found.points)),
        "measured": f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else (dates[0] if dates else "not stated"),
        "date": today,
    }
    for quantity, scores in found.scores.items():
        for when, e in scores.items():
            source[f"{quantity}_{when}"] = {"median": round(e.median, 4), "mape": round(e.mape, 4)}
    return "\n".join(
        [
            f"# {name}: calibrated by `rackmath calibrate`. Factors of what {chosen.base} costs; behind each, what the",
            "# runs leave open of it, as a log width. Errors are absolute: before, after, of points left out in turn.",
            f"base = {_toml(chosen.base)}",
            "",
            "[factors]",
            *(f"{c.name} = {c.factor:.6g}  # {c.width:.3f}, prior {c.prior:.3f}" for c in found.constants),
            "",
            "[source]",
            *(f"{key} = {_toml(value)}" for key, value in source.items()),
            "",
        ]
    )


def _toml(value: Any) -> str:
    """A TOML value.

    >>> _toml(["a\\"b", 1]), _toml({"median": 0.1})
    ('["a\\\\"b", 1]', '{ median = 0.1 }')
    """
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value.translate({127: " "}), ensure_ascii=False)  # TOML's basic strings are JSON's
    return f"{value:g}"
