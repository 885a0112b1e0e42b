"""Avalanche of real ciphers by rounds; difference table and best characteristics of one, held to encryptions.

Group: How sure, and why
Example: rackmath lab ciphers --cipher present --rounds 3 --samples 64

For learning how mixing works. These implementations are never for protecting data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from ...answers.charts import Axis, Series, curve
from ...answers.parts import Answer, Block, Chart, Column, Say, Table
from ...answers.terms import Term, count, product, quotient
from ...experiments.avalanche import MOST, Avalanche
from ...experiments.differential import SBox, difference_table, linear_table, sbox, spectrum, uniformity
from ...experiments.study import Study, Trail, study
from ...questions.fields import Field, needs, no_part, words
from ...questions.fields import count as number
from ...units import plural

CIPHERS, EFFORT = "Ciphers", "Effort"

REACHED = (
    "Every bit reached: rounds until each output bit was seen to change with each input bit. All one half: until each"
    " does so half of the time."
)
HALF = (
    " One half is what strict avalanche asks of every pair of an input and an output bit; {samples:whole} random"
    " blocks tell it to ±{tolerance:.2g}."
)
ACTIVE = (
    "Active S-boxes: the fewest with a difference, by a search of its own. Predicted: the product of the rounds, as"
    " if their keys were independent."
)
MEASURED = (
    "Measured: {pairs:whole} pairs under {keys} random keys; it counts every path from the first difference to the"
    " last, so it can be likelier than the one predicted. –: too rare for so many pairs."
)
TITLE = "Output bits flipped by one input bit"
SMALL = 16  # values of an S-box whose whole table is shown


@dataclass(frozen=True, kw_only=True)
class LabCiphers:
    """Which ciphers, how far to search, and how hard to try."""

    cipher: Annotated[
        tuple[str, ...],
        words(
            "simon32, simon64, speck32, speck64, speck128, des, present, present-128, aes. Repeat it, or separate"
            " with commas. All if not given.",
            "CIPHER",
            complete="ciphers",
            panel=CIPHERS,
        ),
    ] = ()
    rounds: Annotated[
        int | None,
        number(
            "Search the best differential characteristics of so many rounds: of simon32, speck32 or present.",
            least=1,
            most=32,
            whole=True,
            panel=CIPHERS,
        ),
    ] = None
    sbox: Annotated[
        Any,
        words(
            "The difference table of an S-box: present, aes, des1 to des8, or its values (C56B90AD3EF84712). With"
            " --cipher present it takes the place of PRESENT's own.",
            "S-BOX",
            panel=CIPHERS,
        ),
    ] = None
    pairs: Annotated[
        int, number("Pairs encrypted for a differential.", least=1, most=1 << 26, whole=True, panel=EFFORT), needs("cipher")
    ] = 1 << 18
    samples: Annotated[int, number("Random blocks for the avalanche.", least=8, most=MOST, whole=True, panel=EFFORT)] = 512
    limit: Annotated[
        float, Field(help="Longest time of a search.", unit="s", above=0, most=86400, metavar="TIME", panel=EFFORT), needs("cipher")
    ] = 30.0
    seed: Annotated[int, number("Where random numbers start.", most=1 << 32, whole=True, panel=EFFORT)] = 0


def answer(q: LabCiphers) -> Answer:
    """The study, as far as it was asked for."""
    if len(q.cipher) > 1:
        no_part(q, "unless one --cipher is named", "pairs", "limit")
    if q.sbox is not None and not q.cipher:
        no_part(q, "without --cipher where an --sbox is shown", "samples", "seed")
    box = None if q.sbox is None else sbox(q.sbox if isinstance(q.sbox, str | list | tuple) else [q.sbox])
    s = study(q.cipher, rounds=q.rounds, box=box, pairs=q.pairs, samples=q.samples, seconds=q.limit, seed=q.seed)
    title, subtitle = _title(s)
    return Answer(
        title=title,
        subtitle=subtitle,
        blocks=tuple(_blocks(s)),
        table=lambda: _rows(s),
        data=_data(s),
        terms=lambda: _terms(s),
        notes=s.notes,
        subject=s,
    )


def _title(s: Study) -> tuple[Say, str]:
    if not s.curves:
        assert s.box is not None
        name = _called(s.box.name)
        return Say("*{box}*", {"box": name[0].upper() + name[1:]}), f"{s.box.inputs} bits in, {s.box.outputs} out"
    if len(s.curves) > 1:
        return Say("*Ciphers*, and how many rounds they need to mix"), ""
    c = s.curves[0].cipher
    text = "*{name}*  {structure}, {block_bits}-bit blocks, {key_bits}-bit keys, {rounds} rounds"
    keys = ("name", "structure", "block_bits", "key_bits", "rounds")
    return Say(text, {key: getattr(c, key) for key in keys}), c.source


# --- plain data -----------------------------------------------------------------------------------------------------


def _data(s: Study) -> dict[str, Any]:
    """Weights are -log2 of probabilities, differences hexadecimal words, shares from 0 to 1."""
    stopped = s.unfinished
    return {
        "ciphers": [_curve(one) for one in s.curves],
        "sbox": None if s.box is None else _box_record(s.box),
        "characteristics": [_trail(s, one) for one in s.trails],
        "published_in": s.source or None,
        "unfinished": None if stopped is None else {"rounds": stopped[0], "weight_at_least": stopped[1]},
    }


def _curve(one: Avalanche) -> dict[str, Any]:
    c = one.cipher
    return {
        "name": c.name,
        "structure": c.structure,
        "block_bits": c.block_bits,
        "key_bits": c.key_bits,
        "rounds": c.rounds,
        "source": c.source,
        "samples": one.samples,
        "rounds_to_full_diffusion": one.diffused,
        "rounds_to_strict_avalanche": one.strict,
        "tolerance": one.tolerance,
        "flipped": one.flipped,
        "reached": one.reached,
        "worst": one.worst,
    }


def _box_record(b: SBox) -> dict[str, Any]:
    table = difference_table(b)
    return {
        "name": b.name,
        "inputs": b.inputs,
        "outputs": b.outputs,
        "values": b.values,
        "largest_entry": uniformity(table),
        "largest_bias": int(abs(linear_table(b)[1:]).max()),
        "difference_table": table,
        "spectrum": _spectrum(table),
    }


def _spectrum(table: Any) -> list[dict[str, Any]]:
    found = spectrum(table)
    return [{"count": n, "cells": cells, "share": cells / sum(found.values())} for n, cells in found.items()]


def _trail(s: Study, one: Trail) -> dict[str, Any]:
    """One characteristic: its differences before and after every round, and the measured differential."""
    c, m = one.characteristic, one.measured
    digits = s.curves[0].cipher.block_bits // 4
    return {
        "rounds": c.rounds,
        "weight": c.weight,
        "published_weight": one.published,
        "active_sboxes": one.active,
        "measured_weight": m.weight if m else None,
        "hits": m.hits if m else None,
        "pairs": m.pairs if m else None,
        "keys": m.keys if m else None,
        "weights": c.weights,
        "differences": [f"{d:0{digits}x}" for d in c.differences],
    }


def _rows(s: Study) -> list[dict[str, Any]]:
    """One row for each cipher and round, with the characteristic of so many rounds where one was searched."""
    trails = {one.characteristic.rounds: one for one in s.trails}
    found = []
    for one in s.curves:
        for r in range(one.cipher.rounds + 1):
            row: dict[str, Any] = {"cipher": one.cipher.name, "round": r}
            row |= {key: getattr(one, key)[r] for key in ("flipped", "reached", "worst")}
            if r in trails:
                told = _trail(s, trails[r])
                row |= {k: v for k, v in told.items() if k not in ("rounds", "weights", "differences")}
                row |= {"input": told["differences"][0], "output": told["differences"][-1]}
            found.append(row)
    if found or s.box is None:
        return found
    table = difference_table(s.box)
    return [{"input": a, "output": b, "count": int(table[a, b])} for a, b in zip(*table.nonzero(), strict=True)]


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(s: Study) -> Iterator[Block]:
    if len(s.curves) > 1:
        yield _ciphers(s)
    if s.curves:
        first = s.curves[0]
        values: dict[str, Any] = {"samples": first.samples, "tolerance": first.tolerance}
        yield Chart(spec=_picture(s), lines=18)
        met, rounds = (REACHED, {}) if len(s.curves) > 1 else _met(first)
        yield Say(met + HALF, values | rounds)
    if s.box is not None:
        yield from _box(s.box, alone=not s.curves)
    if s.trails or s.unfinished:
        yield from _characteristics(s)


def _ciphers(s: Study) -> Table:
    columns = (
        Column("name", "cipher"),
        Column("structure", "structure", optional=2),
        Column("block_bits", "block", "whole"),
        Column("key_bits", "key", "whole", optional=1),
        Column("rounds", "rounds", "whole"),
        Column("rounds_to_full_diffusion", "every bit reached", "whole"),
        Column("rounds_to_strict_avalanche", "all one half", "whole"),
    )
    rows = [_curve(one) for one in s.curves]
    strict = "never" if s.curves[0].tells else "–"
    unmet = {"rounds_to_full_diffusion": "never", "rounds_to_strict_avalanche": strict}
    shown = [row | {key: said for key, said in unmet.items() if row[key] is None} for row in rows]
    return Table(key="", columns=columns, rows=rows, shown=shown)


def _met(one: Avalanche) -> tuple[str, dict[str, Any]]:
    """The two landmarks of one cipher in words."""
    values = {"rounds": one.cipher.rounds, "diffused": one.diffused, "strict": one.strict}
    if one.diffused is None:
        return "Even after all {rounds} rounds some output bit never felt some input bit.", values
    strict = "all are one half after {strict}"
    if one.strict is None:
        strict = "some entry is not one half at the end" if one.tells else "these blocks are too few to tell one half"
    return "Every input bit reaches every output bit after {diffused} rounds; " + strict + ".", values


def _picture(s: Study) -> Any:
    """Of several ciphers the mean share of flipped bits; of one also the pairs reached and the worst entry."""
    last = max(one.strict or one.diffused or one.cipher.rounds for one in s.curves) + 3
    last = 16 if 12 < last < 16 else last  # ticks at whole rounds
    x, y = Axis("Rounds", low=0, high=last), Axis("Share", "share", low=0)
    if len(s.curves) > 1:
        series: dict[str, Series] = {}
        for each in s.curves:  # sizes of key differ in the schedule only
            name = each.cipher.name.partition("-")[0]
            series.setdefault(name, _series(name, each.flipped, last))
        return curve(list(series.values()), title=TITLE, x=x, y=y)
    one = s.curves[0]
    lines = [
        _series("output bits flipped, mean", one.flipped, last),
        _series("pairs of bits where one reaches the other", one.reached, last),
        _series("worst distance of a pair from one half", one.worst, last, "dashed"),
    ]
    return curve(lines, title=f"{one.cipher.name}: {TITLE.lower()}", x=x, y=y)


def _series(name: str, values: Any, last: int, look: str = "auto") -> Series:
    shown = values[: last + 1].tolist()
    return Series(name, list(range(len(shown))), shown, look=look)


def _box(box: SBox, *, alone: bool) -> Iterator[Block]:
    """The whole table of a small S-box, and for larger ones how often each count occurs."""
    record = _box_record(box)
    most, size = record["largest_entry"], len(box.values)
    title = "Difference table" if alone else f"Difference table of {_called(box.name)}"
    aside = "" if alone else f"{box.inputs} bits in, {box.outputs} out"
    if size <= SMALL:
        heads = [f"{b:x}" for b in range(1 << box.outputs)]
        tones = {str(most): "fair"}
        columns = (Column("in", "in\\out"), *(Column(b, b, "whole", tones=tones) for b in heads))
        shown: list[dict[str, Any]] = [
            {"in": f"{a:x}", **{b: int(n) or "·" for b, n in zip(heads, row, strict=True)}}
            for a, row in enumerate(record["difference_table"])
        ]
        yield Table(key="", title=title, aside=aside, columns=columns, rows=shown)
    else:
        cells = (Column("follow", "inputs that follow"), Column("cells", "cells", "whole"), Column("share", "share of the table", "share"))
        rows = [row | {"follow": f"{row['count']} of {size}"} for row in record["spectrum"]]
        yield Table(key="", title=title, aside=aside, columns=cells, rows=rows)
    values = {"largest_entry": most, "largest_bias": record["largest_bias"]}
    yield Say(
        f"Likeliest: {{largest_entry}} of {size} inputs, 2^−{-math.log2(most / size) + 0:.3g}."
        f" Largest linear bias: {{largest_bias}} of {size // 2}.",
        values,
    )


def _called(name: str) -> str:
    return {"present": "PRESENT's S-box", "aes": "the AES S-box"}.get(name, name.replace("des", "DES S-box "))


def _characteristics(s: Study) -> Iterator[Block]:
    boxes = any(one.active is not None for one in s.trails)
    known = any(one.published is not None for one in s.trails)
    columns = [
        Column("rounds", "rounds"),
        *([Column("active_sboxes", "active S-boxes", "whole")] if boxes else []),
        Column("weight", "predicted", "number4"),
        *([Column("published_weight", "published", "number4", optional=2)] if known else []),
        Column("measured_weight", "measured", "ratio"),
        Column("hits", "hits", "whole", optional=1),
        Column("from", "from", "hex"),
        Column("to", "to", "hex"),
    ]
    yield Table(
        key="",
        title="Best differential characteristics",
        aside="the likeliest there are, in −log2",
        columns=tuple(columns),
        rows=[_shown(s, one) for one in s.trails],
    )
    if s.unfinished is not None:
        rounds, weight = s.unfinished
        text = "*Stopped at {rounds} rounds*: nothing below {weight_at_least:g} was found there; give a longer --limit."
        yield Say(text, {"rounds": rounds, "weight_at_least": weight})
    if boxes:
        yield Say(ACTIVE, faint=True)
    first = next((one.measured for one in s.trails if one.measured), None)
    if first is not None:
        yield Say(MEASURED, {"pairs": first.pairs, "keys": first.keys}, faint=True)
    if s.source and known:
        yield Say("Published: {source}", {"source": s.source}, faint=True)


def _shown(s: Study, one: Trail) -> dict[str, Any]:
    row, c = _trail(s, one), one.characteristic
    row["measured_weight"] = None if not row["hits"] else row["measured_weight"] + 0
    dashes = {k: "–" for k in ("active_sboxes", "published_weight", "measured_weight", "hits") if row[k] is None}
    return row | dashes | {"from": f"{c.differences[0]:x}", "to": f"{c.differences[-1]:x}"}


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(s: Study) -> Term:
    """Each characteristic as the product of its rounds' probabilities, beside landmarks of curves and S-box."""
    nodes = [
        Term(
            name=one.cipher.name,
            children=tuple(
                count(name, rounds)
                for name, rounds in (("rounds to full diffusion", one.diffused), ("rounds to one half", one.strict))
                if rounds is not None
            ),
            source=one.cipher.source,
        )
        for one in s.curves
    ]
    if s.box is not None:
        most = count("inputs that follow", uniformity(difference_table(s.box)))
        likeliest = quotient("likeliest difference", "", most, count("inputs", len(s.box.values)))
        nodes.append(Term(name=_called(s.box.name), children=(likeliest,)))
    for trail in s.trails:
        c, m = trail.characteristic, trail.measured
        rounds = (
            Term(name=f"round {i}", value=2.0**-w, note=f"2^−{w:g}, {c.differences[i - 1]:x} to {c.differences[i]:x}")
            for i, w in enumerate(c.weights, 1)
        )
        note = f"measured {m.probability:.4g}" if m else ""
        nodes.append(product(f"best over {plural(c.rounds, 'round')}", "", *rounds, note=note))
    return Term(name="ciphers", children=tuple(nodes))
