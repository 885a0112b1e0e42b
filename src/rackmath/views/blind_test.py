"""Open-weight models read from their hosts' prices alone, beside the truth: verdicts by half, and a picture."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from ..answers.charts import Axis, Series, scatter
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..evidence import blind as evidence


def blind_answer(found: evidence.Blind) -> Answer:
    """Open-weight models read from their hosts' prices alone, then compared: verdicts by half."""
    made: list[Block] = []
    columns = (
        Column("name", ""),
        Column("coverage", "90 % holds", "percent"),
        Column("sharpness", "width / prior", "ratio"),
        Column("bits", "bits", "ratio"),
        Column("rank", "rank", "ratio"),
        Column("prior_rank", "of price", "ratio"),
        Column("spread", "off by", "x2"),
        Column("prior_spread", "guessing", "x2"),
    )
    for half in dict.fromkeys(v.half for v in found.verdicts):
        mine = [v for v in found.verdicts if v.half == half]
        chosen = "the prior was chosen on these models" if half == "chosen" else "not looked at when it was chosen"
        aside = f"{mine[0].models} models, {mine[0].lists} lists; {chosen}"
        shown = [asdict(v) | {"name": evidence.JUDGED[v.unknown]} for v in mine]
        made.append(Table(key="", title=f"The {half} half", aside=aside, columns=columns, rows=shown))
    made += [Say("{text}", {"text": text}, title="" if i else "Refused") for i, text in enumerate(found.refused)]
    made += [Chart(spec=blind_picture(found, k), lines=0) for k in evidence.JUDGED]
    lists = {"lists": f"{len(found.lists)}"}
    return Answer(
        title=Say("{lists} lists of open-weight models, read with nothing known but their prices", lists),
        blocks=tuple(made),
        table="lists",
        data={
            "verdicts": [asdict(v) for v in found.verdicts],
            "lists": [evidence.flat(one) for one in found.lists],
            "refused": list(found.refused),
        },
        remarks=(
            "rank: rank correlation of what is read with the truth; of price: of the output price alone",
            "off by: the median factor from what is read to the truth; guessing: of always saying the middle model",
            "each model counts once, whatever number of hosts sells it",
        ),
        subject=found,
    )


def blind_picture(found: evidence.Blind, unknown: str) -> dict[str, Any]:
    """Median said against the truth, one dot for each model (the middle of its hosts), by half."""
    series = []
    for half in dict.fromkeys(one.half for one in found.lists):
        of_model: dict[str, list[float]] = {}
        truth = {}
        for one in found.lists:
            if one.half == half:
                of_model.setdefault(one.weights, []).append(math.log(one.readings[unknown].median))
                truth[one.weights] = one.readings[unknown].truth
        names = list(of_model)
        read = [math.exp(float(np.median(of_model[n]))) for n in names]
        series.append(Series(f"{half} half", [truth[n] for n in names], read, look="dots", labels=names))
    every = [v for s in series for v in (*s.x, *s.y)]
    ends = [min(every), max(every)]
    series.append(Series("exact", ends, ends, look="dashed"))
    title = {"active_params": "Active parameters", "total_params": "Total parameters", "kv_bytes": "Cache bytes per token"}
    unit = "bytes" if unknown == "kv_bytes" else ""
    return scatter(
        series,
        title=f"{title[unknown]}: read from prices alone against the truth",
        x=Axis("truth", unit, log=True),
        y=Axis("median read from prices", unit, log=True),
    )
