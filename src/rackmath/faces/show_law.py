"""The screens of `law`: laws beside each other, one in full, answers to a question, and a law fitted to runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..scaling import drift
from ..scaling.fit import NAMES, distances
from ..scaling.laws import WORDS, amount, drawn
from ..units import plural
from . import chart_law, charts, explain_law, records_law
from .export import Face
from .show import BETWEEN, heading, indented, line, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..scaling.fit import Fitted
    from ..scaling.laws import Law
    from .ask_law import Asked, LawAnswer, Row

MOST = 6
"""More laws than this are counted, not named."""

COLUMNS = {
    "loss": ("loss", "tokens_per_param", "flops"),
    "optimum": ("params", "tokens", "tokens_per_param", "loss"),
    "balanced": ("params", "tokens", "tokens_per_param", "flops", "loss"),
    "cheapest": ("params", "tokens", "tokens_per_param", "flops"),
    "tokens": ("tokens", "tokens_per_param", "flops"),
    "params": ("params", "tokens_per_param", "flops"),
}
"""What a question is answered with; the interval is of the first of `HEAD`."""

HEAD = {"loss": "loss", "optimum": "tokens_per_param", "balanced": "tokens_per_param", "cheapest": "flops",
        "tokens": "tokens", "params": "params"}  # fmt: skip
TITLES = {"params": "params", "tokens": "tokens", "tokens_per_param": "tok/param", "flops": "FLOPs", "loss": "loss"}


def face(answer: LawAnswer) -> Face:
    """The faces of an answer of laws."""
    return Face(
        record=lambda: records_law.record(answer),
        rows=lambda: records_law.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=(lambda: explain_law.tree(answer)) if answer.asked is not None or len(answer.laws) == 1 else None,
        chart=(lambda: chart_law.spec(answer)) if chart_law.drawn(answer) else None,
    )


def screen(c: Console, answer: LawAnswer) -> None:
    """Print what was asked."""
    if answer.fitted is not None:
        _fitted(c, answer.fitted)
        if answer.asked is not None or len(answer.laws) > 1:
            c.print()
    if answer.asked is not None:
        _answers(c, answer)
    elif answer.fitted is None and len(answer.laws) == 1:
        _one(c, answer.laws[0])
    elif answer.fitted is None or len(answer.laws) > 1:
        _list(c, answer.laws)
    if chart_law.drawn(answer):
        c.print()
        c.print(Text.from_ansi(charts.draw(chart_law.spec(answer), width=c.width, height=18, color=wants_colour(c))))
    if answer.asked is not None:
        notes(c, _said(answer))


# --- laws -----------------------------------------------------------------------------------------------------------


def _list(c: Console, laws: tuple[Law, ...]) -> None:
    c.print(Text("Scaling laws", style="bold"))
    c.print(Text("each with the runs it was fitted on; losses of different laws are not comparable", style="dim"))
    c.print()
    table = numbers("law", "parameters", "and")
    table.columns[0].no_wrap = True
    table.columns[2].justify = "left"
    table.add_column("what", style="dim", no_wrap=True)
    for one in laws:
        star = "°" if one.sample is not None else ""
        others = [key for key in one.box if key != "params"]
        table.add_row(f"{one.name}{star}", _ends(one, "params"), _ends(one, others[0]) if others else "",
                      escape(one.title))  # fmt: skip
    indented(c, table, drop=("what",))
    line(c, "[dim]° has an interval. rackmath law NAME shows one; --params, --tokens, --flops, --loss ask.[/]")


UNITS = {
    "params": "",
    "tokens": " tokens",
    "flops": " FLOPs",
    "tokens_per_param": " tok/param",
    "experts": " experts",
    "sparsity": " sparsity",
}


def _ends(one: Law, key: str) -> str:
    if key not in one.box:
        return "[dim]–[/]"
    low, high = (f"{end:.0e}".replace("+", "") if key == "flops" else charts.number(end) for end in one.box[key])
    return f"{low} to {high}{UNITS[key]}"


def _one(c: Console, one: Law) -> None:
    c.print(Text.assemble((one.name, "bold"), f"  {one.title}"))
    line(c, escape(one.family.formula), indent=0)
    _coefficients(c, one)
    heading(c, "What it is about")
    table = numbers("", "", title_width=16)
    table.show_header = False
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    table.add_row("N counts", escape(one.params))
    table.add_row("data", escape(one.data))
    for key, (low, high) in one.box.items():
        table.add_row(f"{WORDS[key]}", f"{amount(low, key)} to {amount(high, key)}")
    exponent = one.exponent
    if exponent is not None:
        table.add_row("N* grows as", f"C^{float(exponent):.3f}")
    for key, why in one.refuses.items():
        table.add_row(f"refuses {key}", escape(why))
    table.add_row("source", escape(f"{one.source} ({one.date})"))
    table.add_row("standing", one.standing)
    indented(c, table)
    notes(c, one.notes)


def _coefficients(c: Console, one: Law) -> None:
    heading(c, "Coefficients")
    table = numbers("", "value", "std. error", "95 %", "as printed", title_width=10)
    for key, value in one.coefficients.items():
        ends = one.intervals.get(key)
        table.add_row(
            key,
            f"[bold]{float(value):.6g}[/]",
            f"{one.errors[key]:.4g}" if key in one.errors else "",
            f"{ends[0]:g} to {ends[1]:g}" if ends else "",
            f"{one.printed[key]:g}" if key in one.printed else "",
        )
    for column in list(table.columns)[1:]:
        if not any(str(cell) for cell in column.cells):
            table.columns.remove(column)
    indented(c, table)


def _fitted(c: Console, one: Fitted) -> None:
    far = distances(one)
    c.print(Text.assemble("Law of ", (one.law.name, "bold"), f", {plural(len(one.runs), 'run')}"))
    line(c, escape(one.law.family.formula), indent=0)
    heading(c, "Coefficients", f"intervals from {plural(one.resamples, 'fit')} of resampled runs")
    table = numbers("", "value", BETWEEN, title_width=10)
    for key in NAMES:
        low, high = one.interval(key)
        table.add_row(key, f"[bold]{float(one.law.coefficients[key]):.5g}[/]", f"{low:.4g} to {high:.4g}")
    indented(c, table)
    line(c, f"N* grows as C^{float(one.law.exponent or math.nan):.3f}. The law meets half of the runs within"
            f" {far['median']:.2%} of their loss, all within {far['largest']:.2%}.")  # fmt: skip
    box = "; ".join(f"{WORDS[key]} {amount(a, key)} to {amount(b, key)}" for key, (a, b) in one.law.box.items())
    line(c, f"[dim]Runs: {box}.[/]")
    if one.law.coefficients["E"] < 0.01 * one.runs.loss.min():
        line(c, "[yellow]The runs do not show a floor E; add larger ones before trusting an extrapolation.[/]")


# --- answers --------------------------------------------------------------------------------------------------------


def _title(a: Asked) -> str:
    said = {key: amount(float(value), key) for key, value in a.given.items()}
    n, d, flops = (said.get(key, "") for key in ("params", "tokens", "flops"))
    model = f"{n} parameters" if n else f"{d} tokens"
    return {
        "loss": f"Loss of {model}" + (f" on {d} tokens" if n and d else f" and {flops} FLOPs"),
        "optimum": f"Least loss of {flops} FLOPs",
        "balanced": f"The budget at which {model} are optimal",
        "cheapest": f"Fewest FLOPs to a loss of {said.get('loss', '')}",
        "tokens": f"Tokens that bring {model} to a loss of {said.get('loss', '')}",
        "params": f"Parameters to a loss of {said.get('loss', '')}" + (f" on {d} tokens" if d else ""),
        "worth": f"What {model} with {amount(float(a.inputs.get('experts', 1)), 'experts')} experts are worth",
    }[a.kind]


def _answers(c: Console, answer: LawAnswer) -> None:
    a = answer.asked
    assert a is not None
    c.print(Text(_title(a), style="bold"))
    told = [
        f"{WORDS.get(key, key)} {amount(float(v), 'tokens' if key == 'unique' else key)}"
        for key, v in a.inputs.items()
    ]
    if told and a.kind != "worth":
        c.print(Text(", ".join(told), style="dim"))
    _warned(c, answer)
    c.print()
    if a.kind == "worth":
        _worth(c, answer)
        return
    head = HEAD[a.kind]
    columns = [key for key in COLUMNS[a.kind] if key not in a.given]
    columns = [key for key in columns if any(math.isfinite(float(getattr(r.point, key))) for r in answer.rows)]
    spans = any(head in row.spans for row in answer.rows)
    table = numbers("law")
    for key in columns:
        table.add_column(TITLES[key], justify="right", no_wrap=True)
        if key == head and spans:
            table.add_column(BETWEEN, justify="right", no_wrap=True)
    for row in answer.rows:
        cells = []
        for key in columns:
            cells += [_cell(row, key, key == head), *([_between(row, head)] if key == head and spans else [])]
        table.add_row(_name(row), *cells)
    indented(
        c,
        table,
        drop=[title for key, title in TITLES.items() if key != head and key not in ("params", "tokens")][::-1],
    )


def _warned(c: Console, answer: LawAnswer) -> None:
    """Say which laws are asked beyond the runs behind them, and what that does to their intervals."""
    far = [row for row in answer.rows if row.point.outside]
    if not far:
        return
    who = f"{far[0].law.name} was not fitted here ({'; '.join(far[0].point.outside)})"
    if len(far) > 1:
        who = f"{'these' if len(far) == len(answer.rows) else 'the marked'} laws are asked beyond their runs"
    line(c, f"[bold yellow]Extrapolated:[/] {who}; intervals grow with the distance from those runs", indent=0)


def _name(row: Row) -> Text:
    return Text.assemble(row.law.name, ("*", "yellow") if row.point.outside else "")


def _cell(row: Row, key: str, strong: bool) -> str:
    value = float(getattr(row.point, key))
    if not math.isfinite(value):
        return "[dim]–[/]"
    text = _number(value, key)
    return f"[bold]{text}[/]" if strong else text


def _number(value: float, key: str) -> str:
    if not math.isfinite(value):
        return "∞"
    return f"{value:.4g}" if key == "loss" else amount(value, key)


def _between(row: Row, key: str) -> str:
    if key not in row.spans:
        return ""
    low, high = row.spans[key]
    return f"{_number(low, key)} to {_number(high, key)}"


def _worth(c: Console, answer: LawAnswer) -> None:
    spans = any(row.worth is not None and row.worth.span is not None for row in answer.rows)
    table = numbers("law", "worth", *([BETWEEN] if spans else []), "of the active", "loss", "gain ends at")
    for row in answer.rows:
        w, n = row.worth, float(row.point.params)
        assert w is not None
        span = [] if w.span is None else [f"{amount(w.span[0], 'params')} to {amount(w.span[1], 'params')}"]
        table.add_row(
            _name(row), amount(w.effective, "params"), *(span or ([""] if spans else [])),
            f"[bold]{w.effective / n:.2f}x[/]", _cell(row, "loss", False),
            amount(w.cutoff, "params") if math.isfinite(w.cutoff) else "nowhere",
        )  # fmt: skip
    indented(c, table)
    w, n = answer.rows[0].worth, float(answer.rows[0].point.params)
    assert w is not None
    second = "second " if answer.rows[0].law.form == "routed" else ""
    line(
        c,
        f"It holds {amount(w.total, 'params')} parameters, [bold]{w.total / n:.3g}x[/] the active ones: experts"
        f" replace the MLP, two thirds of a layer, of every {second}layer.",
    )


def _said(answer: LawAnswer) -> list[str]:
    """What a reader must know."""
    a = answer.asked
    assert a is not None
    far = [row for row in answer.rows if row.point.outside]
    found = []
    if 2 <= len(far) <= 3:
        found = [f"* {row.law.name} is asked beyond its runs: {'; '.join(row.point.outside)}" for row in far]
    elif far[3:]:
        found = [f"* {len(far)} laws are asked beyond their runs; rackmath law NAME shows how far those reach"]
    if far:
        found.append(
            f"beyond its runs the exponents of a law are drawn anew, {drift.DRIFT:.0%} to either side, from the edge"
            " of the runs on: about as far as the laws of two laboratories are apart"
        )
    for row in answer.rows:
        if row.law.active not in (None, 1):
            active = amount(float(row.point.params) * float(row.law.active or 1), "params")
            found.append(f"{row.law.name} counts parameters {row.law.params}; {active} are active")
    found += _spread(answer)
    loss = [one.law.name for one in answer.silent if one.why == "loss"]
    if loss:
        found.append(f"nothing reaches this loss under: {', '.join(loss)}")
    form = [one.law.name for one in answer.silent if one.why == "form"]
    if form:
        who = ", ".join(form) if len(form) <= MOST else f"{len(form)} laws"
        found.append(f"do not answer this question: {who}; name one to see why")
    if len(answer.rows) == 1 and answer.rows[0].law.sample is None:
        none = "no interval of its own, only that of the extrapolation" if far else "no interval"
        found.append(f"{answer.rows[0].law.name} has {none}: neither its runs nor a covariance were published;"
                     f" {' and '.join(drawn())} have one")  # fmt: skip
    if len(answer.rows) == 1:
        found += answer.rows[0].law.notes
    return found


def _spread(answer: LawAnswer) -> list[str]:
    """How far the laws are apart, where their answers can be compared."""
    a = answer.asked
    if a is None or len(answer.rows) < 2 or a.kind == "worth":
        return []
    if "loss" in (HEAD[a.kind], *a.given):
        return [
            "losses are of different texts and tokenizers: compare laws of one data set only (besiroglu, hoffmann)"
        ]
    values = [float(getattr(row.point, HEAD[a.kind])) for row in answer.rows if row.law.active == 1]
    if len(values) < 2:
        return []
    apart = max(values) / min(values)
    return [
        f"laws of dense models are {apart:.2g}x apart in {WORDS[HEAD[a.kind]]}; an interval is of one law alone, so"
        " it does not hold this"
    ]
