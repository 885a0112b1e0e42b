"""What the seller decides, and which questions have a price list."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import BadInput
from ...search.grid import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class SellerTerms:
    """What the seller decides.

    `margin`: gross margin, 1 - cost / price. `idle`: share of paid hours that interactive traffic leaves empty;
    `filled`: share of those that batch work fills. `fast`: speed of the fast tier over the standard one. `step`:
    growth of the cost at which a long tier is needed; `long_above`: tokens above which it holds, the next of
    `ABOVE` if None; `long_isl`: tokens of the prompts it is computed for, `LONG` or the model's limit if None.
    `reuse`: hits expected of each written token, those of the cached share if None.
    `max_fetch`: seconds that a hit may wait for its cache, the median TTFT if None. `per_kwh`: dollars. `rounded`:
    list prices in two significant digits.
    """

    margin: float = 0.0
    idle: float = 0.4
    filled: float = 1.0
    fast: float = 2.0
    step: float = 0.5
    long_isl: float | None = None
    long_above: float | None = None
    reuse: float | None = None
    max_fetch: float | None = None
    per_kwh: float = 0.1
    rounded: bool = True

    def __post_init__(self) -> None:
        for name, value in (("margin", self.margin), ("idle", self.idle)):
            if not 0 <= value < 1:
                raise BadInput(f"{name} = {value:g} is out of range; give a share from 0 to below 1, such as 40%")
        if not 0 <= self.filled <= 1:
            raise BadInput(f"filled = {self.filled:g} is out of range; give a share from 0 to 1")
        if not 1 < self.fast <= 1e6:
            raise BadInput(f"fast = {self.fast:g} is out of range; give a multiple of the speed above 1, such as 2")
        if not 0 < self.step <= 1e6:
            raise BadInput(f"long_step = {self.step:g} is out of range; give a growth above 0, such as 50%")
        for name, of in (("reuse", self.reuse), ("max_fetch", self.max_fetch)):
            if of is not None and not 0 <= of <= 1e9:
                raise BadInput(f"{name} = {of:g} is out of range; give a number from 0 to 1e9")
        if not 0 <= self.per_kwh <= 1e3:
            raise BadInput(f"electricity = {self.per_kwh:g} is out of range; give dollars per kWh from 0 to 1000")


def check(question: Question, terms: SellerTerms) -> None:
    """Refuse a question without a price, without fresh input, or with long prompts that are none."""
    machine, traffic = question.machine, question.traffic
    if not float(machine.price_per_hour) > 0:
        raise BadInput(f"{machine.name} has no known price, and a quote is made of cost; give one like --set machine.price_per_hour=$2/h")
    if not float(traffic.cached) < 1:
        raise BadInput("cached = 1 leaves no fresh input to put a price on; give a share below 1, such as 50%")
    if terms.long_isl is not None and not float(traffic.isl) < terms.long_isl:
        raise BadInput(
            f"long_isl = {terms.long_isl:,.0f} is not longer than the standard {float(traffic.isl):,.0f} tokens; give"
            " the length of long prompts, such as 128k"
        )
    room = question.model.max_context - float(traffic.osl)
    if terms.long_above is not None and not float(traffic.isl) <= terms.long_above < (terms.long_isl or room):
        raise BadInput(
            f"long_above = {terms.long_above:,.0f} is not between the standard {float(traffic.isl):,.0f} tokens and"
            f" the {terms.long_isl or room:,.0f} of the longest prompts; give a threshold between them, such as 128k"
        )
    if terms.long_isl is not None and terms.long_isl > room:
        raise BadInput(
            f"long_isl = {terms.long_isl:,.0f} is beyond {question.model.name}: with {float(traffic.osl):,.0f} output"
            f" tokens it takes prompts of {room:,.0f} at most; give no more"
        )
