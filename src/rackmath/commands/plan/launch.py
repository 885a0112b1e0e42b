"""The commands that start a plan as an answer: ready to be copied, with what each engine cannot express."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...answers.parts import Answer, Block, Code, Say
from ...search.launch import LaunchAnswer, LaunchCommand
from ...views import plan_parts as parts


def answer(a: LaunchAnswer) -> Answer:
    """Every engine's commands."""
    return Answer(
        title=Say("Commands that start *{model}*", {"model": a.model}),
        blocks=tuple(block for one in a.commands for block in _blocks(one)),
        table="commands",
        data={"model": a.model, "commands": [_row(one) for one in a.commands]},
        notes=a.notes,
        subject=a,
    )


def _blocks(one: LaunchCommand) -> Iterator[Block]:
    pool = f" · {one.pool} pool" if one.pool else ""
    values = {"replicas": one.replicas, "nodes": one.nodes, "layout": one.layout, "machine": one.machine}
    start = "start {replicas:whole} of these: " if one.replicas > 1 else ""
    over = ", each over {nodes} nodes" if one.nodes > 1 else ""
    yield Say(
        start + "{layout} on {machine}" + over,
        values,
        faint=True,
        title=f"{one.engine}{pool}",
        aside=f"options as of {one.version}, checked {one.checked}",
    )
    yield Code(text=" \\\n  ".join(one.words))
    if one.others:
        last = "1" if one.nodes == 2 else f"1 to {one.nodes - 1}"
        yield Say(f"on the other nodes, NODE_RANK = {last}:", faint=True)
        yield Code(text=" \\\n  ".join(one.others))
    if one.file:
        name = next(w for w in one.words if w.startswith("--config")).split()[1]
        yield Say("{name}:", {"name": name}, faint=True)
        yield Code(text="\n".join(one.file))
    for text in one.cannot:
        yield Say("*Cannot be expressed:* {what}.", {"what": text})
    for text in one.notes:
        words = f"{text}." if "-" in text.split()[0] else parts.sentence(text)
        yield Say("{note}", {"note": words}, faint=True)


def _row(one: LaunchCommand) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "version": one.version,
        "checked": one.checked,
        "source": one.source,
        "pool": one.pool or None,
        "machine": one.machine,
        "layout": one.layout,
        "replicas": one.replicas,
        "nodes": one.nodes,
        "command": one.text,
        "command_other_nodes": one.text_others or None,
        "file": list(one.file),
        "cannot": list(one.cannot),
        "notes": list(one.notes),
    }
