"""Words to layouts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..units import plural

if TYPE_CHECKING:
    from ..layout.parallelism import Layout
    from ..search.grid import Question


def parse_layout(text: str, q: Question) -> Layout:
    """A layout from words like "TP8 DP4 EP32 PP2" or "TP8 DCP8"; refused with the reason where it is not legal.

    `ep` defaults to 1 (every expert cut over the stage).
    """
    from ..layout.parallelism import Layout, illegal, shares_cache

    values: dict[str, float] = {}
    for word in re.split(r"[\s,x+]+", text.strip().lower()):
        match = re.fullmatch(r"(tp|dp|ep|pp|cp|dcp)=?(\d{1,6})", word)
        if match is None:
            raise BadInput(f"layout {text!r} has the part {word!r}; write it like 'TP8 DP4 EP32 PP2'")
        if match.group(1) in values:
            raise BadInput(f"layout {text!r} names {match.group(1)} twice")
        values[match.group(1)] = float(match.group(2))
        if not values[match.group(1)]:
            raise BadInput(f"layout {text!r} has {match.group(1)} = 0; give 1 or more")
    layout = Layout(**values)
    reasons = [reason for reason, bad in illegal(q.model, layout).items() if bad.any()]
    if reasons:
        raise BadInput(f"layout {layout.label()} cannot run {q.model.name}: {'; '.join(reasons)}")
    if layout.dcp > 1 and not shares_cache(q.engine, q.model):
        raise BadInput(f"{q.engine.name} does not share the cache of {q.model.name} over dcp; leave DCP out")
    if layout.gpus > q.machine.n_devices:
        raise BadInput(
            f"layout {layout.label()} needs {plural(float(layout.gpus), 'device')} and {q.machine.name} has {q.machine.n_devices:g}"
        )
    return layout


def layout_taken(words: str | None, q: Question, choose: Callable[[], Layout], notes: list[str]) -> Layout:
    """The layout that was named, or the one that `choose` takes; a note where it leaves room for further replicas."""
    if words:
        return parse_layout(words, q)
    chosen = choose()
    devices, replicas = float(chosen.gpus), int(q.machine.n_devices // float(chosen.gpus))
    if replicas > 1:
        notes.append(
            f"a replica of {plural(devices, 'device')} was chosen, and {q.machine.name} holds {replicas}: --layout names another cut"
        )
    return chosen
