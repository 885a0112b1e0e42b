"""Rows of the two serving benchmarks as answers: predictions of `predict` in the units of each measured column.

`silicon`: milliseconds. `inferencex`: seconds, tokens per second for each user (`intvty`) and for each device. How
their columns are read stands in `rows`; here are only units, and columns that follow from time to first token, time
per token and rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import BadInput
from ..kernel.uncertainty import version_fitted
from ..world.engine_names import engine_key
from .answer import SEEN, UNSEEN, Asked, Estimate, RowScores, Text
from .predict import Prediction, predict
from .rows import Row, fixed_seq, silicon

SILICON = ("silicon_tpot_ms", "silicon_ttft_ms")
PREDICTED = (
    "median_tpot",
    "median_ttft",
    "tput_per_gpu",
    "output_tput_per_gpu",
    "input_tput_per_gpu",
    "mean_tpot",
    "mean_ttft",
    "median_intvty",
    "mean_intvty",
    "median_e2el",
    "mean_e2el",
)
INFERENCEX = (
    *(f"{s}_{name}" for name in ("ttft", "tpot", "itl", "intvty", "e2el") for s in ("mean", "median")),
    *(f"{s}_{name}" for name in ("ttft", "tpot", "itl", "intvty", "e2el") for s in ("p90", "p99", "std")),
    "tput_per_gpu",
    "output_tput_per_gpu",
    "input_tput_per_gpu",
    "avg_power_w",
    "joules_per_output_token",
    "joules_per_total_token",
)


def read_silicon(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows of the silicon sample: TTFT and TPOT in milliseconds."""
    return _read(rows, asked, silicon, _in_milliseconds)


def read_inferencex(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for InferenceX results: seconds, tokens per second and user, tokens per second and device."""
    return _read(rows, asked, fixed_seq, _in_seconds)


def _read(
    given: Sequence[Text], asked: Asked, reader: Callable[[Text, int], Row], columns: Callable[[Prediction], dict[str, Estimate]]
) -> list[RowScores]:
    found: list[RowScores] = []
    good: list[tuple[int, Row]] = []
    for i, one in enumerate(given):
        try:
            row = reader(one, 0)
        except BadInput as error:
            found.append(_unread(one, str(error)))
            continue
        found.append(_said(Prediction(row=row, reason=row.reason), {}))
        if not row.reason:
            good.append((i, row))
    for (i, _), p in zip(good, _predicted([row for _, row in good], asked), strict=True):
        estimates = {} if p.reason else columns(p)
        if estimates and not all(np.isfinite(e.pred) for e in estimates.values()):
            p, estimates = Prediction(row=p.row, reason="the query is out of range: no finite answer"), {}
        found[i] = _said(p, estimates)
    return found


def _predicted(rows: Sequence[Row], asked: Asked) -> Sequence[Prediction]:
    """All at once; one by one where a row among them breaks the calculation."""
    try:
        return predict(rows, engine=asked.engine, under=asked.under)
    except (BadInput, ArithmeticError, ValueError, MemoryError) as error:
        if len(rows) == 1:
            why = str(error) if isinstance(error, BadInput) else "the query is out of range: no finite answer"
            return [Prediction(row=rows[0], reason=why)]
        return [p for row in rows for p in _predicted([row], asked)]


def _said(p: Prediction, estimates: dict[str, Estimate]) -> RowScores:
    row = p.row
    notes = p.notes or row.readings
    if row.prefill is None:
        layout = row.decode.layout.label()
    else:
        layout = f"{row.prefill.layout.label()} prefill, {row.decode.layout.label()} decode"
    if row.version and row.mode == "aggregated":
        notes = (*notes, SEEN if version_fitted(engine_key(row.engine), row.version) else UNSEEN)
    drafts = ", MTP" if row.speculation == "mtp" else ""
    return RowScores(
        system=row.machine,
        model=row.model.rstrip("/").rpartition("/")[2],
        engine=row.engine,
        mode=row.mode + ("" if row.counted else ", workers unstated") + drafts,
        estimates=estimates,
        reason=p.reason,
        notes=(layout, *notes),
    )


def _unread(row: Text, reason: str) -> RowScores:
    disaggregated = row.get("mode") == "disagg" or row.get("disagg") == "True"
    return RowScores(
        system=row.get("system") or row.get("hardware", ""),
        model=(row.get("model_path") or row.get("model", "")).rstrip("/").rpartition("/")[2],
        engine=row.get("backend") or row.get("framework", ""),
        mode="disaggregated" if disaggregated else "aggregated",
        reason=reason.removeprefix("the row: "),
    )


def _times(p: Prediction, statistic: str) -> tuple[Estimate, Estimate]:
    """TTFT and TPOT in seconds, means or medians over the run's requests."""
    ttft, tpot = (p.ttft, p.tpot) if statistic == "mean" else (p.ttft_median, p.tpot_median)
    assert tpot is not None
    assert ttft is not None
    return Estimate(pred=ttft, bound=p.ttft_bound), Estimate(pred=tpot, bound=p.tpot_bound)


def _in_milliseconds(p: Prediction) -> dict[str, Estimate]:
    ttft, tpot = _times(p, "mean")
    return {"silicon_ttft_ms": ttft.times(1e3), "silicon_tpot_ms": tpot.times(1e3)}


def _in_seconds(p: Prediction) -> dict[str, Estimate]:
    """Columns of InferenceX results.

    The most a rate can be follows from Little's law: as many requests as the row states, each inside for at least its
    shortest time. Gaps between tokens (`itl`) are not predicted: engines send several tokens at once.
    """
    row, least = p.row, 0.0
    found: dict[str, Estimate] = {}
    steps = max(row.osl - 1, 0.0)
    for statistic in ("median", "mean"):
        ttft, tpot = _times(p, statistic)
        least = (ttft.bound or 0.0) + steps * (tpot.bound or 0.0)
        fastest = 1 / tpot.bound if tpot.bound else None
        found |= {
            f"{statistic}_ttft": ttft,
            f"{statistic}_tpot": tpot,
            f"{statistic}_intvty": Estimate(pred=1 / tpot.pred, bound=fastest, most=True),
            f"{statistic}_e2el": Estimate(pred=ttft.pred + steps * tpot.pred, bound=least),
        }
    return found | _rates(p, row.concurrency / least if least else np.inf)


def _rates(p: Prediction, most: float) -> dict[str, Estimate]:
    """Tokens per second and device; `most` requests per second at the bound.

    In two pools output is divided by the devices that decode and input by those that prefill, as the file does.
    """
    row = p.row
    assert p.tput_per_gpu is not None
    decoding = float(row.decode.count * row.decode.layout.gpus)
    prefilling = float(row.prefill.count * row.prefill.layout.gpus) if row.prefill else decoding
    everything = decoding + (prefilling if row.prefill else 0.0)
    rate = p.tput_per_gpu * everything / (row.isl + row.osl)
    tokens = {
        "tput_per_gpu": (row.isl + row.osl, everything),
        "output_tput_per_gpu": (row.osl, decoding),
        "input_tput_per_gpu": (row.isl, prefilling),
    }
    return {
        name: Estimate(pred=rate * n / devices, bound=max(most, rate) * n / devices, most=True) for name, (n, devices) in tokens.items()
    }
