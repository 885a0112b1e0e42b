"""The blind test: python -m rackmath.evidence.blind [--half chosen|reported] [--record].

Every host's list of an open-weight model is read backwards with nothing known but that a host sells it; then the
model's true active and total parameters and cache bytes per token are looked up. Beliefs and markups were chosen on
one half of the models, so the other half is the test. Models count once, however many hosts sell them. `--record`
writes every list to `data/fitted/blind.csv`, which docs/concepts/infer.md is made of.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np

from .. import shipped
from ..decisions.backwards.inverse import Inference, infer
from ..decisions.backwards.likelihood import Observation, margins, observations
from ..errors import RackmathError
from .open_models import HALVES, OpenList, open_lists

DATA = shipped.FITTED / "blind.csv"

JUDGED = {"active_params": "active parameters", "total_params": "total parameters", "kv_bytes": "cache bytes per token"}
"""What is compared with the truth, in words."""

DRAWS = 131_072


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindReading:
    """One unknown of one list: interval, truth, and what the prices gave."""

    low: float
    median: float
    high: float
    truth: float
    sharpness: float  # width of the interval over the prior's, in logarithms
    bits: float

    @property
    def inside(self) -> bool:
        return self.low <= self.truth <= self.high

    @property
    def off(self) -> float:
        """Median over truth."""
        return self.median / self.truth


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindList:
    """One list read blind."""

    name: str
    weights: str
    half: str
    input_mtok: float
    output_mtok: float
    margin: tuple[float, float, float]  # 5, 50 and 95 % of the blended gross margin
    readings: Mapping[str, BlindReading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One unknown over one half; each model counts once. `spread`: median factor between median and truth."""

    unknown: str
    half: str
    models: int
    lists: int
    coverage: float
    sharpness: float
    bits: float
    rank: float
    prior_rank: float
    spread: float
    prior_spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """All lists, and the verdicts by half and unknown."""

    lists: tuple[BlindList, ...]
    verdicts: tuple[Verdict, ...]
    refused: tuple[str, ...]

    def verdict(self, unknown: str, half: str) -> Verdict:
        return next(v for v in self.verdicts if (v.unknown, v.half) == (unknown, half))


def blind(half: str | None = None, *, draws: int = DRAWS, workers: int = 2) -> Blind:
    """Read every list of one half, or of both; the same prices of one model are read once."""
    wanted = [one for one in open_lists() if half in (None, one.half)]
    distinct = list({_key(one): one for one in wanted}.values())
    with ProcessPoolExecutor(workers) as pool:
        answers = dict(zip(map(_key, distinct), pool.map(_read, distinct, [draws] * len(distinct)), strict=True))
    found, refused = [], []
    for one in wanted:
        answer = answers[_key(one)]
        if isinstance(answer, str):
            refused.append(f"{one.prices.model}: {answer}")
        else:
            found.append(_listed(one, answer))
    return judged(found, refused)


def judged(found: Sequence[BlindList], refused: Sequence[str] = ()) -> Blind:
    """The lists with the verdicts over them."""
    halves = [h for h in HALVES if any(one.half == h for one in found)]
    verdicts = tuple(_verdict(found, k, h) for h in halves for k in JUDGED)
    return Blind(lists=tuple(found), verdicts=verdicts, refused=tuple(refused))


# --- as recorded --------------------------------------------------------------------------------------------------


def flat(one: BlindList) -> dict[str, str | float]:
    """One list as one row."""
    found: dict[str, str | float] = {
        "list": one.name,
        "weights": one.weights,
        "half": one.half,
        "input_mtok": one.input_mtok,
        "output_mtok": one.output_mtok,
        "margin_low": one.margin[0],
        "margin_median": one.margin[1],
        "margin_high": one.margin[2],
    }
    for name, r in one.readings.items():
        found |= {f"{name}_{k}": getattr(r, k) for k in FIELDS}
    return found


FIELDS = ("low", "median", "high", "truth", "sharpness", "bits")


def record(found: Blind) -> None:
    """Write every list to the data file, four digits each."""
    rows = [{k: v if isinstance(v, str) else f"{v:.4g}" for k, v in flat(one).items()} for one in found.lists]
    with DATA.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def recorded() -> Blind:
    """The blind test as it was last recorded.

    >>> recorded().verdict("active_params", "reported").models >= 12
    True
    """
    with DATA.open(encoding="utf-8", newline="") as file:
        return judged([_recorded(row) for row in csv.DictReader(file)])


def _recorded(row: Mapping[str, str]) -> BlindList:
    low, mid, high = (float(row[f"margin_{k}"]) for k in ("low", "median", "high"))
    return BlindList(
        name=row["list"],
        weights=row["weights"],
        half=row["half"],
        input_mtok=float(row["input_mtok"]),
        output_mtok=float(row["output_mtok"]),
        margin=(low, mid, high),
        readings={k: BlindReading(**{f: float(row[f"{k}_{f}"]) for f in FIELDS}) for k in JUDGED},
    )


# --- the test -----------------------------------------------------------------------------------------------------


Answer = tuple[Mapping[str, BlindReading], tuple[float, float, float]]


def _key(one: OpenList) -> tuple[object, ...]:
    return (one.truth.name, *((o.name, o.value) for o in seen(one)))


def seen(one: OpenList) -> tuple[Observation, ...]:
    """What a list says."""
    return observations(one.prices)


def _read(one: OpenList, draws: int) -> Answer | str:
    try:
        answer = infer(seen(one), markups=margins("host"), draws=draws, least=200)
    except RackmathError as error:
        return str(error)
    margin = answer["margin"]
    return {k: _reading(answer, k, getattr(one.truth, k)) for k in JUDGED}, (margin.low, margin.median, margin.high)


def _reading(answer: Inference, name: str, truth: float) -> BlindReading:
    p = answer[name]
    return BlindReading(low=p.low, median=p.median, high=p.high, truth=truth, sharpness=p.sharpness, bits=p.bits)


def _listed(one: OpenList, answer: Answer) -> BlindList:
    readings, margin = answer
    short = one.prices.standard
    return BlindList(
        name=one.prices.model,
        weights=one.truth.name,
        half=one.half,
        input_mtok=short.input_mtok,
        output_mtok=short.output_mtok,
        margin=margin,
        readings=readings,
    )


def _verdict(lists: Sequence[BlindList], unknown: str, half: str) -> Verdict:
    """Coverage and the rest over the models of a half."""
    of_model: dict[str, list[BlindList]] = defaultdict(list)
    for one in lists:
        if one.half == half:
            of_model[one.weights].append(one)

    def over(what: Callable[[BlindReading], float]) -> list[float]:
        """The mean over a model's hosts, for each model."""
        return [float(np.mean([what(one.readings[unknown]) for one in group])) for group in of_model.values()]

    truths = over(lambda r: r.truth)
    said = over(lambda r: math.log(r.median))
    level = [float(np.mean([math.log(one.output_mtok) for one in group])) for group in of_model.values()]
    middle = math.exp(median(math.log(t) for t in truths)) if truths else math.nan
    return Verdict(
        unknown=unknown,
        half=half,
        models=len(of_model),
        lists=sum(map(len, of_model.values())),
        coverage=float(np.mean(over(lambda r: float(r.inside)))),
        sharpness=float(np.mean(over(lambda r: r.sharpness))),
        bits=float(np.mean(over(lambda r: r.bits))),
        rank=spearman(said, truths),
        prior_rank=spearman(level, truths),
        spread=math.exp(median(over(lambda r: abs(math.log(r.off))))),
        prior_spread=math.exp(median(abs(math.log(t / middle)) for t in truths)),
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation; ties share their mean rank.

    >>> spearman([1, 2, 3, 4], [10, 30, 20, 40])
    0.8
    """
    ranks = [_ranks(np.asarray(v, dtype=float)) for v in (a, b)]
    if min(np.ptp(r) for r in ranks) == 0:  # all alike: no order to compare
        return math.nan
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 6)


def _ranks(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[where]


def main() -> None:
    """Print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--half", choices=HALVES)
    parser.add_argument("--record", action="store_true", help=f"write {DATA.name}")
    given = parser.parse_args()
    found = blind(given.half)
    if given.record and given.half is None:
        record(found)
    for v in found.verdicts:
        print(
            f"{v.half:9} {JUDGED[v.unknown]:22} {v.models} models, {v.lists} lists: 90 % holds {v.coverage:.0%},"
            f" width {v.sharpness:.2f} of the prior's, {v.bits:.2f} bits, rank {v.rank:.2f} (of the output price"
            f" alone {v.prior_rank:.2f}), off by {v.spread:.2f} (guessing the middle {v.prior_spread:.2f})"
        )
    for sentence in found.refused:
        print("refused:", sentence)


if __name__ == "__main__":
    main()
