"""Rules by which computations reach a verdict: a distance, or a list of conditions. No verdict is written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .ledger import Claim, Outcome, Part, Verdict

Values = Mapping[str, float]
Compute = Callable[[Claim, Values], Outcome]


def near(claim: Claim, ours: float) -> bool:
    """Whether our number lies within the claim's tolerance of the lecture's."""
    assert claim.lecture is not None
    return abs(ours / claim.lecture - 1) <= claim.tolerance


def by_distance(claim: Claim, ours: float, because: str, *parts: Part) -> Outcome:
    close = near(claim, ours)
    verdict: Verdict = "holds" if close else "does not hold"
    return Outcome(ours=ours, verdict=verdict, because=because, parts=parts, near=close)


def by_conditions(ours: float, conditions: Mapping[str, bool], *parts: Part) -> Outcome:
    """Holds where every condition does, does not where none does; between, it holds if the missing ones did."""
    met = [text for text, true in conditions.items() if true]
    missed = [text for text, true in conditions.items() if not true]
    if not missed:
        return Outcome(ours=ours, verdict="holds", because="; ".join(met), parts=parts)
    if not met:
        return Outcome(ours=ours, verdict="does not hold", because="not so: " + "; nor: ".join(missed), parts=parts)
    because = f"only if {', and if '.join(missed)}; already so: {'; '.join(met)}"
    return Outcome(ours=ours, verdict="holds if", because=because, parts=parts)
