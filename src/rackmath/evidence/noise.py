"""The noise floor: how far measurements of one and the same configuration lie apart. No model can be nearer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .answer import Text, number

INFERENCEX = (
    "model",
    "hardware",
    "framework",
    "precision",
    "spec_method",
    "disagg",
    "is_multinode",
    "tp",
    "ep",
    "dp_attention",
    "prefill_tp",
    "prefill_ep",
    "prefill_dp_attention",
    "prefill_num_workers",
    "decode_tp",
    "decode_ep",
    "decode_dp_attention",
    "decode_num_workers",
    "num_prefill_gpu",
    "num_decode_gpu",
    "isl",
    "osl",
    "conc",
)
SILICON = (
    "backend",
    "model_path",
    "system",
    "precision",
    "mode",
    "isl",
    "osl",
    "gemm_quant_mode",
    "moe_quant_mode",
    "batch_size",
    "tp_size",
    "pp_size",
    "attention_dp_size",
    "moe_tp_size",
    "moe_ep_size",
    "silicon_concurrency",
    *(
        f"{side}_{name}"
        for side in ("prefill", "decode")
        for name in ("batch_size", "num_workers", "tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """How far two measurements of one configuration lie apart: the larger over the smaller, less one.

    `median` and `p90` are over configurations, each with the median of its pairs.
    """

    what: str
    column: str
    configurations: int
    pairs: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What to compare: rows equal in `query`, with the same `label` (image, version) or with different ones.

    `only` are column and value that a row must have.
    """

    what: str
    query: Sequence[str]
    label: str
    columns: Sequence[str]
    same: bool
    only: tuple[str, str] | None = None


_TIMES = ("silicon_tpot_ms", "silicon_ttft_ms")
_HEADLINES = ("median_tpot", "median_ttft", "tput_per_gpu")

FLOORS = {
    "inferencex": (
        Floor(what="repeats, same image", query=INFERENCEX, label="image", same=True, columns=_HEADLINES),
        Floor(what="one configuration, two images", query=INFERENCEX, label="image", same=False, columns=_HEADLINES),
    ),
    "silicon": tuple(
        Floor(what=f"{mode}: {what}", query=SILICON, label="backend_version", same=same, columns=_TIMES, only=("mode", word))
        for mode, word in (("aggregated", "agg"), ("disaggregated", "disagg"))
        for what, same in (("repeats, same version", True), ("one configuration, two versions", False))
    ),
}


def apart(rows: Sequence[Text], floor: Floor) -> Iterator[Apart]:
    """Each measured column of one comparison; runs that state no label are left out.

    A run exported twice counts once: all its columns are the same to three digits.

    >>> rows = [{"q": "1", "v": v, "t": t} for v, t in (("a", "10"), ("a", "11"), ("a", "11"), ("b", "20"))]
    >>> of = Floor(what="repeats", query=("q",), label="v", columns=("t",), same=True)
    >>> [(one.pairs, round(one.median, 6)) for one in apart(rows, of)]
    [(1, 0.1)]
    """
    groups: dict[tuple[str, ...], dict[tuple[str, ...], Text]] = {}
    for row in rows:
        if row.get(floor.label) and (floor.only is None or row.get(floor.only[0]) == floor.only[1]):
            run = (row[floor.label], *(f"{number(row, name) or 0:.3g}" for name in floor.columns))
            groups.setdefault(tuple(row.get(name, "") for name in floor.query), {})[run] = row
    for column in floor.columns:
        each = [found for runs in groups.values() if (found := _pairs(list(runs.values()), column, floor))]
        if each:
            middles = [float(np.median(found)) for found in each]
            yield Apart(
                what=floor.what,
                column=column,
                configurations=len(each),
                pairs=sum(len(found) for found in each),
                median=float(np.median(middles)),
                p90=float(np.quantile(middles, 0.9)),
            )


def _pairs(runs: Sequence[Text], column: str, floor: Floor) -> list[float]:
    found = []
    for a, b in combinations(runs, 2):
        x, y = number(a, column), number(b, column)
        if x and y and (a[floor.label] == b[floor.label]) is floor.same:
            found.append(max(x, y) / min(x, y) - 1)
    return found
