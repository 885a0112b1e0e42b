"""Scaling laws: the loss of a run, the run of a budget or a loss, what experts are worth; or a law of your runs.

Group: Training and size
Example: rackmath law besiroglu hoffmann --flops 1e21

Two of params, tokens, flops and loss ask for the rest; one alone asks for the compute-optimal run.

Beyond the runs behind a law its answer is marked and its interval grows. Without a question, laws are listed. Exits
with 1 where nothing reaches the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ..answers.charts import number
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.text import cell
from ..questions.common import NO_EXTRAPOLATE, FormerExtrapolate
from ..questions.fields import count, flag, needs, share, words
from ..scaling import drift
from ..scaling.asking import HEAD, LawAnswers, LawQuestion, LawRow, answers
from ..scaling.fit import NAMES, FittedLaw, distances, fit
from ..scaling.laws import WORDS, Law, amount, as_printed, drawn, law, laws
from ..scaling.runs import read
from ..units import plural
from ..views import law_curves
from ..views import laws as views

ASKED = "What is asked: one of these, or two"
ROUTED = "What some laws take beside them"
FIT = "Runs of your own"

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
"""What a question is answered with; the interval is that of its `HEAD`."""

TITLES = {"params": "params", "tokens": "tokens", "tokens_per_param": "tok/param", "flops": "FLOPs", "loss": "loss"}
UNITS = {"params": "parameters", "tokens": "parameters", "tokens_per_param": "number", "flops": "power", "loss": "number4"}
ENDS = {"tokens": " tokens", "flops": " FLOPs", "tokens_per_param": " tok/param", "experts": " experts", "sparsity": " sparsity"}


@dataclass(frozen=True, kw_only=True)
class LawInput:
    """Which laws, what they are asked, and a file of runs."""

    names: Annotated[
        tuple[str, ...],
        words(
            "Laws to ask: besiroglu, hoffmann, clark-s-base, ... All that answer if none is named.", "NAME", argument=True, complete="laws"
        ),
    ] = ()
    params: Annotated[float | None, count("Parameters, as the law counts them: 70B.", above=0, most=1e33, panel=ASKED)] = None
    tokens: Annotated[float | None, count("Tokens trained on: 1.4T.", above=0, most=1e33, panel=ASKED)] = None
    flops: Annotated[float | None, count("Training budget, 6 N D: 5.76e23.", above=0, most=1e33, panel=ASKED)] = None
    loss: Annotated[float | None, count("Loss to reach, in nats per token.", above=0, most=1e33, metavar="NATS", panel=ASKED)] = None
    experts: Annotated[float | None, count("Experts of a routed layer (clark-...).", above=0, most=1e33, panel=ROUTED)] = None
    granularity: Annotated[float | None, count("Into how many an expert is cut (krajewski-moe).", above=0, most=1e33, panel=ROUTED)] = None
    sparsity: Annotated[float | None, share("Share of experts that rest: 0.9 (abnar).", panel=ROUTED)] = None
    unique: Annotated[float | None, count("Tokens that are new; the rest repeats (muennighoff).", above=0, most=1e33, panel=ROUTED)] = None
    extrapolate: FormerExtrapolate = False
    printed: Annotated[bool, flag("Use the rounded coefficients of the paper, where they differ.")] = False
    fit: Annotated[str | None, words("Fit a law to runs: columns N, D, loss.", "CSV", complete="files", panel=FIT)] = None
    resamples: Annotated[
        int, count("Fits of resampled runs behind the intervals.", least=20, most=10_000, whole=True, panel=FIT), needs("fit")
    ] = 200


def answer(q: LawInput) -> Answer:
    """Laws beside each other, one in full, answers to a question, or a law fitted to runs."""
    a = _answers(q)
    notes = _notes(a) if a.asked is not None else a.laws[0].notes if len(a.laws) == 1 and a.fitted is None else ()
    data: dict[str, Any] = {"fit": None if a.fitted is None else views.fitted(a.fitted)}
    if a.asked is not None:
        data |= {"asks": a.asked.kind, "silent": [{"law": one.law.name, "why": one.why, "reason": one.reason} for one in a.silent]}
    title, subtitle, blocks = _screen(a)
    chart = law_curves.spec(a)
    return Answer(
        title=title,
        subtitle=subtitle,
        blocks=(*blocks, *([] if chart is None else [Chart(spec=chart, lines=18)])),
        table="laws" if a.asked is None else "answers",
        data=data,
        terms=(lambda: views.terms(a)) if a.asked is not None or len(a.laws) == 1 else None,
        notes=(*([NO_EXTRAPOLATE] if q.extrapolate else []), *notes),
        subject=a,
    )


def _answers(q: LawInput) -> LawAnswers:
    """Words to laws, and what they answer."""
    given = {key: getattr(q, key) for key in ("params", "tokens", "flops", "loss") if getattr(q, key) is not None}
    inputs = {key: float(value) for key in ("experts", "granularity", "sparsity", "unique") if (value := getattr(q, key)) is not None}
    fitted = None if q.fit is None else fit(read(q.fit), name=Path(q.fit).stem, resamples=q.resamples)
    named = [law(name) for name in q.names]
    chosen = named or ([] if fitted else list(laws().values()))
    if q.printed:
        chosen = [as_printed(one) for one in chosen if named or one.printed]
    if fitted is not None:
        chosen.insert(0, fitted.law)
    given = {key: float(value) for key, value in given.items()}
    return answers(chosen, given, inputs, strict=bool(named), fitted=fitted)


def _screen(a: LawAnswers) -> tuple[Say, str, list[Block]]:
    """Title, subtitle and blocks of whatever was asked."""
    top = [] if a.fitted is None else _fit(a.fitted)
    if a.fitted is not None:
        title = Say("Law of *{name}*, {runs}", {"name": a.fitted.law.name, "runs": plural(len(a.fitted.runs), "run")})
        subtitle = a.fitted.law.family.formula
    if a.asked is not None:
        told = ", ".join(
            f"{WORDS.get(key, key)} {amount(float(v), 'tokens' if key == 'unique' else key)}" for key, v in a.asked.inputs.items()
        )
        told = "" if a.asked.kind == "worth" else told
        blocks = list(_worth(a) if a.asked.kind == "worth" else _table(a, _title(a.asked) if top else ""))
        return (title, subtitle, top + blocks) if top else (Say(f"*{_title(a.asked)}*"), told, blocks)
    if top:
        return title, subtitle, top + (_list(a.laws, "Scaling laws") if len(a.laws) > 1 else [_kept(a.laws)])
    if len(a.laws) == 1:
        one = a.laws[0]
        return Say("*{law}*  {title}", {"law": one.name, "title": one.title}), one.family.formula, _one(one)
    about = "each with the runs it was fitted on; losses of different laws are not comparable"
    return Say("*Scaling laws*"), about, _list(a.laws)


# --- laws -----------------------------------------------------------------------------------------------------------


def _kept(found: tuple[Law, ...], **of: Any) -> Table:
    """The table of laws of the record, with what a person is shown of it."""
    shown = {"columns": (), "shown": ()} | of
    return Table(key="laws", rows=[views.law(one) for one in found], flat=[views.flat_law(one) for one in found], **shown)


def _list(found: tuple[Law, ...], title: str = "") -> list[Block]:
    rows = []
    for one in found:
        others = [key for key in one.box if key != "params"]
        ends = {"params": _ends(one, "params"), "others": _ends(one, others[0]) if others else ""}
        rows.append({"law": f"{one.name}{'°' if one.sample is not None else ''}", "title": one.title} | ends)
    columns = (
        Column("law", "law"),
        Column("params", "parameters", "parameters"),
        Column("others", "and"),
        Column("title", "what", optional=1),
    )
    say = "° has an interval. rackmath law NAME shows one; --params, --tokens, --flops, --loss ask."
    return [_kept(found, title=title, columns=columns, shown=rows), Say(say, faint=True)]


def _ends(one: Law, key: str) -> str:
    if key not in one.box:
        return "–"
    low, high = (f"{end:.0e}".replace("+", "") if key == "flops" else number(end) for end in one.box[key])
    return f"{low} to {high}{ENDS.get(key, '')}"


def _one(one: Law) -> list[Block]:
    rows = [("N counts", one.params), ("data", one.data)]
    rows += [(WORDS[key], f"{amount(low, key)} to {amount(high, key)}") for key, (low, high) in one.box.items()]
    if one.exponent is not None:
        rows.append(("N* grows as", f"C^{float(one.exponent):.3f}"))
    rows += [(f"refuses {key}", why) for key, why in one.refuses.items()]
    rows += [("source", f"{one.source} ({one.date})"), ("standing", one.standing)]
    about = _kept(
        (one,),
        title="What it is about",
        headless=True,
        columns=(Column("what", ""), Column("said", "")),
        shown=[{"what": what, "said": said} for what, said in rows],
    )
    return [_coefficients(one), about]


def _coefficients(one: Law) -> Table:
    rows = []
    for key, value in one.coefficients.items():
        low, high = one.intervals.get(key, (None, None))
        rows.append(
            {"key": key, "value": float(value), "error": one.errors.get(key), "low": low, "high": high, "printed": one.printed.get(key)}
        )
    columns = (
        Column("value", "value", "number6"),
        Column("error", "std. error", "number4"),
        Column("low", "95 %", "number6", to="high"),
        Column("printed", "as printed", "number6"),
    )
    held = tuple(k for k in columns if any(row[k.key] is not None for row in rows))
    return Table(key="", title="Coefficients", columns=(Column("key", ""), *held), rows=rows)


def _fit(one: FittedLaw) -> list[Block]:
    rows = []
    for key in NAMES:
        low, high = one.interval(key)
        rows.append({"key": key, "value": float(one.law.coefficients[key]), "low": low, "high": high})
    columns = (Column("key", ""), Column("value", "value", "number6"), Column("low", "5 to 95 %", "number4", to="high"))
    far, box = distances(one), one.law.box
    held = "; ".join(f"{WORDS[key]} {amount(a, key)} to {amount(b, key)}" for key, (a, b) in box.items())
    blocks: list[Block] = [
        Table(
            key="",
            title="Coefficients",
            columns=columns,
            rows=rows,
            aside=f"intervals from {plural(one.resamples, 'fit')} of resampled runs",
        ),
        Say(
            "N* grows as C^{exponent:.3f}. The law meets half of the runs within {median:.2%} of their loss, all within {largest:.2%}.",
            {"exponent": float(one.law.exponent or math.nan), **far},
        ),
        Say(f"Runs: {held}.", faint=True),
    ]
    if one.law.coefficients["E"] < 0.01 * one.runs.loss.min():
        blocks.append(Say("*The runs do not show a floor E*; add larger ones before trusting an extrapolation."))
    return blocks


# --- answers --------------------------------------------------------------------------------------------------------


def _title(a: LawQuestion) -> str:
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


def _warned(a: LawAnswers) -> Iterator[Block]:
    """Say which laws are asked beyond the runs behind them, and what that does to their intervals."""
    far = [row for row in a.rows if row.point.outside]
    if not far:
        return
    who = f"{far[0].law.name} was not fitted here ({'; '.join(far[0].point.outside)})"
    if len(far) > 1:
        who = f"{'these' if len(far) == len(a.rows) else 'the marked'} laws are asked beyond their runs"
    yield Say(f"*Extrapolated:* {who}; intervals grow with the distance from those runs")


def _name(row: LawRow) -> str:
    return f"{row.law.name}*" if row.point.outside else row.law.name


def _answered(a: LawAnswers, **of: Any) -> Table:
    return Table(key="answers", rows=[views.answered(row) for row in a.rows], flat=[views.flat_answer(row) for row in a.rows], **of)


def _known(value: float, endless: str = "–") -> float | str:
    return value if math.isfinite(value) else endless


def _table(a: LawAnswers, title: str) -> Iterator[Block]:
    assert a.asked is not None
    yield from _warned(a)
    kind, head = a.asked.kind, HEAD[a.asked.kind]
    keys = [key for key in COLUMNS[kind] if key not in a.asked.given]
    keys = [key for key in keys if any(math.isfinite(float(getattr(row.point, key))) for row in a.rows)]
    spans = any(head in row.spans for row in a.rows)
    columns = [Column("law", "law")]
    for key in keys:
        order = 0 if key in ("params", "tokens", head) else {"loss": 1, "flops": 2}.get(key, 3)
        columns.append(Column(key, TITLES[key], UNITS[key], optional=order))
        if key == head and spans:
            columns.append(Column("low", "5 to 95 %", UNITS[head], to="high"))
    shown = []
    for row in a.rows:
        cells: dict[str, Any] = {key: _known(float(getattr(row.point, key))) for key in keys}
        low, high = row.spans.get(head) or (None, None)
        shown.append({"law": _name(row), "low": low, "high": high} | cells)
    yield _answered(a, title=title, columns=tuple(columns), shown=shown)


def _worth(a: LawAnswers) -> Iterator[Block]:
    yield from _warned(a)
    shown = []
    for row in a.rows:
        w, n = row.worth, float(row.point.params)
        assert w is not None
        low, high = w.span or (None, None)
        cells: dict[str, Any] = {"effective_params": w.effective, "effective_over_active": w.effective / n}
        cells |= {"loss": _known(float(row.point.loss)), "cutoff_params": _known(w.cutoff, "nowhere")}
        shown.append({"law": _name(row), "low": low, "high": high} | cells)
    held = any(row["low"] is not None for row in shown)
    spans = [Column("low", "5 to 95 %", "parameters", to="high")] if held else []
    columns = (
        Column("law", "law"),
        Column("effective_params", "worth", "parameters"),
        *spans,
        Column("effective_over_active", "of the active", "x2"),
        Column("loss", "loss", "number4"),
        Column("cutoff_params", "gain ends at", "parameters"),
    )
    yield _answered(a, columns=columns, shown=shown)
    w, n = a.rows[0].worth, float(a.rows[0].point.params)
    assert w is not None
    second = "second " if a.rows[0].law.form == "routed" else ""
    yield Say(
        "It holds {total:parameters} parameters, *{times:x}* the active ones: experts replace the MLP, two thirds of"
        f" a layer, of every {second}layer.",
        {"total": w.total, "times": w.total / n},
    )


def _notes(a: LawAnswers) -> list[str]:
    """What a reader must know."""
    far = [row for row in a.rows if row.point.outside]
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
    for row in a.rows:
        if row.law.active not in (None, 1):
            active = amount(float(row.point.params) * float(row.law.active or 1), "params")
            found.append(f"{row.law.name} counts parameters {row.law.params}; {active} are active")
    found += _spread(a)
    loss = [one.law.name for one in a.silent if one.why == "loss"]
    if loss:
        found.append(f"nothing reaches this loss under: {', '.join(loss)}")
    form = [one.law.name for one in a.silent if one.why == "form"]
    if form:
        who = ", ".join(form) if len(form) <= MOST else f"{len(form)} laws"
        found.append(f"do not answer this question: {who}; name one to see why")
    if len(a.rows) == 1:
        found += _alone(a.rows[0].law, far=bool(far))
    return found


def _alone(one: Law, *, far: bool) -> list[str]:
    """What to know of a law that answers alone."""
    if one.sample is not None:
        return list(one.notes)
    none = "no interval of its own, only that of the extrapolation" if far else "no interval"
    return [f"{one.name} has {none}: neither its runs nor a covariance were published; {' and '.join(drawn())} have one", *one.notes]


def _spread(a: LawAnswers) -> list[str]:
    """How far the laws are apart, where their answers can be compared."""
    asked = a.asked
    if asked is None or len(a.rows) < 2 or asked.kind == "worth":
        return []
    if "loss" in (HEAD[asked.kind], *asked.given):
        return ["losses are of different texts and tokenizers: compare laws of one data set only (besiroglu, hoffmann)"]
    found = a.disagreement
    if found is None:
        return []
    return [
        f"laws of dense models differ by {cell(found, 'x')} in {WORDS[HEAD[asked.kind]]}; an interval is of one law"
        " alone, so it does not hold this"
    ]
