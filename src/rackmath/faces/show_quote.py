"""The screen and chart of `quote`: the list first, then what it rests on, what would move it, and public lists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..answers.text import between, cell, money
from ..decisions.quote.hosts import cheaper
from ..decisions.quote.tiers import LONG_TTFT
from ..units import plural, show
from ..views.setting import formats, traffic_words, under
from . import chart_quote, explain_quote, records_quote
from .export import Face
from .show import BETWEEN, heading, indented, line, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..decisions.quote.hosts import Host
    from ..decisions.quote.price_list import Line, Quote
    from ..decisions.quote.tiers import Tier
    from .ask_quote import QuoteAnswer

SMALLEST = 0.001
"""Changes of a price below this share are not shown."""


def face(answer: QuoteAnswer) -> Face:
    """The faces of a quote."""
    return Face(
        record=lambda: records_quote.record(answer),
        rows=lambda: records_quote.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_quote.tree(answer),
        chart=lambda: chart_quote.spec(answer),
    )


def screen(c: Console, answer: QuoteAnswer) -> None:
    """Print the list and all that defends it."""
    quote = answer.quote
    _question(c, quote)
    _list(c, quote)
    _request(c, quote)
    if answer.hosts:
        _hosts(c, quote, answer.hosts)
    c.print()
    c.print(Text.from_ansi(chart_quote.draw(answer, width=c.width, color=wants_colour(c))))
    _rests(c, quote)
    _moves(c, quote)
    notes(c, (*_said(quote), *answer.notes))


def _question(c: Console, quote: Quote) -> None:
    q, p = quote.standard.question, quote.standard
    c.print(
        Text.assemble("Price list for ", (q.model.name, "bold"), " on ", (q.machine.name, "bold"), *under(q.engine))
    )
    c.print(Text(traffic_words(q.traffic, quote.objectives), style="dim"))
    hour = f"{money(float(q.machine.price_per_hour))} per GPU-hour ({q.machine.price_kind.replace('_', '-')})"
    c.print(Text(f"{formats(p.precision)} · {hour}", style="dim"))


# --- the list -----------------------------------------------------------------------------------------------------


def _list(c: Console, quote: Quote) -> None:
    t = quote.terms
    heading(c, f"Margin {t.margin:.0%}, {t.idle:.0%} of paid hours idle", "dollars per million tokens")
    table = numbers("", "price", "cost", BETWEEN, "floor", title_width=22)
    for tier in quote.tiers:
        if not quote.of(tier.name):
            continue
        table.add_row(Text(f"{tier.name}{_where(quote, tier)}", style="bold"))
        for one in quote.of(tier.name):
            table.add_row(
                f"  {one.name}", f"[bold green]{_price(one, quote)}[/]", money(one.cost),
                between(one.low, one.high, "$"),
                f"[dim]{money(one.floor)}[/]",
            )  # fmt: skip
    indented(c, table, drop=("floor",))
    for tier in quote.tiers:
        if tier.why:
            line(c, f"[yellow]No {tier.name} tier:[/] {escape(tier.why)}.")


def _price(one: Line, quote: Quote) -> str:
    """A listed price in two digits where it is rounded."""
    return money(one.listed, digits=2 if quote.terms.rounded else 3)


def _where(quote: Quote, tier: Tier) -> str:
    """What sets a tier apart, in a few words."""
    if tier.served is None or tier.name == "standard":
        return ""
    if tier.name == "fast":
        return f", {quote.terms.fast:g}x the speed"
    if tier.name == "batch":
        return ", in idle hours"
    if math.isfinite(quote.threshold):
        return f", above {cell(_round(quote.threshold), 'count')} in"
    return f", at {cell(tier.isl, 'count')} in"


def _round(length: float) -> float:
    """A length in three digits."""
    return float(f"{length:.3g}")


def _request(c: Console, quote: Quote) -> None:
    floor = quote.request_cost * float(quote.standard.cost.bound_share)
    known = quote.request_span
    words = f" ({between(*known, '$')})" if known else ""
    line(
        c,
        f"A standard request pays [bold]{money(quote.revenue())}[/] and costs {money(quote.request_cost)}{words},"
        f" idle hours included: a margin of [bold]{quote.margin():.1%}[/]{_margins(quote.margin_span)}. At the"
        f" roofline bound of this plan it would cost {money(floor)}.",
    )


def _margins(span: tuple[float, float] | None) -> str:
    return "" if span is None else f", {_range(span)} over the interval of the cost"


# --- what it rests on -----------------------------------------------------------------------------------------------


def _rests(c: Console, quote: Quote) -> None:
    heading(c, "What the prices rest on")
    for tier in quote.tiers:
        if tier.served is not None:
            line(c, f"[bold]{tier.name}[/]: {escape(_tier_words(quote, tier))}")
    for one in quote.of("standard"):
        line(c, f"[dim]{one.name}: {escape(one.rests_on)}[/]", indent=4)


def _tier_words(quote: Quote, tier: Tier) -> str:
    t = quote.terms
    if tier.name == "long":
        isl = cell(tier.isl, "count")
        return f"computed for prompts of {isl} tokens: {tier.says}. {_threshold(quote)}"
    if tier.name == "batch":
        offer = quote.offer
        off = 1 - quote.revenue("batch") / quote.revenue()
        energy = (
            f"; in hours paid for anyway an output token adds {money(offer.floor)}/M of energy" if offer.floor else ""
        )
        filled = f"filling {t.filled:.0%} of the idle hours"
        return f"{tier.says}, {filled}: a request is {off:.0%} cheaper than standard{energy}"
    return tier.says


def _threshold(quote: Quote) -> str:
    step, least = quote.terms.step, quote.margin_at_threshold
    shown = ", ".join(f"{quote.growth[i]:.1f}x at {cell(_round(quote.lengths[i]), 'count')}" for i in _spread(quote))
    needed = (
        f"From {cell(_round(quote.crossing), 'count')} tokens on cost is {step:.0%} above what standard prices charge"
        if math.isfinite(quote.crossing) else f"Cost nowhere grows by {step:.0%} over what standard prices charge"
    )  # fmt: skip
    if least is None:
        return f"{needed} ({shown})"
    left = f"a margin of {least:.0%}" if least >= 0 else f"a loss of {-least:.0%}"
    chosen = "as asked" if quote.terms.long_above is not None else "the next round number of public lists"
    start = cell(_round(quote.threshold), "count")
    return (
        f"{needed} ({shown}). The tier begins at {start}, {chosen} (--long-above); just"
        f" below, standard prices leave {left}. The long prices hold for the whole request"
    )


def _spread(quote: Quote) -> list[int]:
    """A few of the lengths beyond the threshold, the last one among them."""
    beyond = [i for i, isl in enumerate(quote.lengths) if isl > quote.threshold and math.isfinite(quote.growth[i])]
    return beyond[::-3][::-1]


def _moves(c: Console, quote: Quote) -> None:
    """What would move the standard prices, a row for each change."""
    heading(c, "What would move the standard prices")
    lines = quote.of("standard")
    table = numbers("", *(one.name.replace("cache write, ", "write ") for one in lines))
    for name, _ in lines[0].moves:
        changes = [dict(one.moves).get(name, 0.0) for one in lines]
        if any(abs(x) >= SMALLEST for x in changes):
            table.add_row(name, *(_percent(x) for x in changes))
    terms = quote.terms
    if terms.idle > 0:
        change = (1 - terms.idle) / (1 - terms.idle / 2) - 1
        table.add_row(
            f"{terms.idle / 2:.0%} of paid hours idle, not {terms.idle:.0%}", *[_percent(change)] * len(lines)
        )
    indented(c, table, drop=("write 1 h", "write 5 min"))


def _percent(change: float) -> str:
    if abs(change) < SMALLEST:
        return "[dim]0[/]"
    return f"{'−' if change < 0 else '+'}{abs(change) * 100:.1f} %"


# --- public lists ---------------------------------------------------------------------------------------------------


def _hosts(c: Console, quote: Quote, hosts: tuple[Host, ...]) -> None:
    below = cheaper(quote, hosts)
    heading(c, "Beside public lists", "the margin of each if its cost were ours, on the standard request")
    table = numbers("", "input", "cached read", "output", "a request", "margin", BETWEEN)
    ours = {one.name: _price(one, quote) for one in quote.of("standard")}
    mine = (
        "▶ this quote", ours["input"], ours.get("cached read", ""), ours["output"], money(quote.revenue()),
        _share(quote.margin()), _range(quote.margin_span),
    )  # fmt: skip
    for i, h in enumerate(hosts):
        if i == below:
            table.add_row(*mine, style="bold green")
        read = "" if h.cache_read_mtok is None else money(h.cache_read_mtok)
        span = None if h.low is None or h.high is None else (h.low, h.high)
        table.add_row(
            _named(h), money(h.input_mtok), read, money(h.output_mtok), money(h.request),
            "free" if h.margin is None else _share(h.margin), _range(span),
        )  # fmt: skip
    if below == len(hosts):
        table.add_row(*mine, style="bold green")
    indented(c, table, drop=("cached read", "a request"))
    day = max(h.day for h in hosts)
    line(
        c,
        f"{below} of {plural(len(hosts), 'list')} {'asks' if below == 1 else 'ask'} less than this quote; lists as of"
        f" {day}. A host without a price for cached reads charges input for them.",
    )


def _named(h: Host) -> str:
    """A host, and what it calls the model: some sell it more than once."""
    return f"{h.provider}: {h.model.rpartition('/')[2]}"


def _range(span: tuple[float, float] | None) -> str:
    return "" if span is None else f"{_share(span[0])} to {_share(span[1])}"


def _share(value: float) -> str:
    return f"{value:.0%}".replace("-", "−")


def _as_plan(quote: Quote) -> str:
    """The question to `plan` that gives the same cost: a seller's defaults are not those of a single question."""
    q, t = quote.standard.question, quote.terms
    cached, pace = float(q.traffic.cached), quote.objectives.max_tpot
    words = f"--cached {cached:.0%}" if cached else ""
    words += f" --min-interactivity {1 / pace:.3g}" if pace < math.inf else ""
    words += f" --utilisation {1 - t.idle:.0%}" if t.idle else ""
    return (
        "a seller's traffic finds prefixes in the cache, keeps a pace and leaves hours idle, which plan counts only"
        f" when told: plan{' ' + words.strip() if words else ''} gives the standard costs, idle hours included"
    )


def _said(quote: Quote) -> list[str]:
    """What a reader of any quote must know."""
    p, found = quote.standard, []
    reason = p.intervals.reason
    made = "intervals are made to hold 9 of 10 runs" if quote.request_span else "no intervals"
    found.append(f"{made} ({reason})")
    found.append(
        "price = cost / (1 − idle) / (1 − margin); floor: the cost of the request at the roofline bound, split over"
        " its tokens as the estimate is"
    )
    if not quote.holdings:
        found.append("no prices for cached tokens: the traffic finds nothing in the cache; give --cached 50%")
    for tier in quote.tiers:
        costs = {one.name: one.cost for one in quote.of(tier.name)}
        if costs.get("cached read", 0.0) > costs.get("input", math.inf):
            found.append(f"{tier.name}: a cached token costs more than a fresh one, since every fresh token of such a"
                         " prompt attends to it; fewer fresh tokens (a larger --cached) change that")  # fmt: skip
    if quote.objectives.max_ttft < math.inf:
        found.append(
            f"TTFT ≤ {show(quote.objectives.max_ttft, 's')} is kept at the standard length, not for long prompts"
        )
    if quote.of("long"):
        found.append(
            "the long tier takes one pool of replicas or two, whichever is cheaper, the others one; TTFT of long"
            f" prompts ≤ {LONG_TTFT:g} s where something keeps to it"
        )
    found.append(_as_plan(quote))
    found.append("no failures, free tiers, staff or network egress are in the cost")
    return found
