"""The terms of a price list read backwards: the prior with its reasons, and what each number added."""

from __future__ import annotations

from ..answers.terms import Term
from ..decisions.backwards.beliefs import Beliefs
from ..decisions.backwards.inverse import Inference, Posterior

UNITS = {"count": "", "bytes": "B", "1/s": "tok/s", "$/h": "$/h", "share": "share"}


def terms(model: str, r: Inference, taken: Beliefs) -> Term:
    """Every unknown with prior and posterior, what each observation gave, and the prior's reasons."""
    seen = (Term(name=o.says, value=o.value, unit="$" if o.unit == "$/M" else "") for o in r.seen)
    every = taken.quantities.values()
    priors = [_prior(q.name, q.why, (q.low, q.high), UNITS.get(q.unit, "")) for q in every]
    priors += [
        Term(name=c.name, note=c.why, children=tuple(Term(name=k, value=v, unit="share") for k, v in c.odds.items()))
        for c in taken.choices.values()
    ]
    return Term(
        name=f"{model}, read backwards",
        children=(
            Term(name="listed and measured", children=tuple(seen)),
            Term(name="unknowns", children=tuple(_unknown(r, p) for p in r.unknowns.values())),
            Term(name="priors", children=tuple(priors)),
            Term(name="effective sample size", value=r.effective, note=f"of {r.draws:,} draws"),
        ),
    )


def _unknown(r: Inference, p: Posterior) -> Term:
    unit = UNITS[p.unit]
    given = tuple(Term(name=f"bits lost without {w.observation.says}", value=w.bits[p.name]) for w in r.weights)
    return Term(
        name=p.says,
        children=(
            Term(name="median", value=p.median, unit=unit),
            Term(name="5 %", value=p.low, unit=unit),
            Term(name="95 %", value=p.high, unit=unit),
            _prior("prior", "", (p.prior[0], p.prior[4]), unit),
            Term(name="bits the prices gave", value=p.bits, children=given),
        ),
    )


def _prior(name: str, why: str, ends: tuple[float, float], unit: str) -> Term:
    parts = (Term(name=end, value=v, unit=unit) for end, v in zip(("5 %", "95 %"), ends, strict=True))
    return Term(name=name, note=why, children=tuple(parts))
