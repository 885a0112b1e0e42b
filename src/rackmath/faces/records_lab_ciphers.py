"""The answer of `lab ciphers` as plain mappings and rows: the shape of its `--json` and `--csv`.

Weights are -log2 of probabilities, differences hexadecimal words, shares from 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..experiments.avalanche import Avalanche
    from .ask_lab_ciphers import CiphersAnswer, Line

Record = dict[str, Any]


def record(answer: CiphersAnswer) -> Record:
    """{ciphers, sbox, characteristics, published_in, unfinished, notes}."""
    stopped = answer.unfinished
    return {
        "ciphers": [curve(one) for one in answer.curves],
        "sbox": box(answer),
        "characteristics": [line(answer, one) for one in answer.lines],
        "published_in": answer.source or None,
        "unfinished": None if stopped is None else {"rounds": stopped[0], "weight_at_least": stopped[1]},
        "notes": list(answer.notes),
    }


def curve(one: Avalanche) -> Record:
    c = one.cipher
    return {
        "name": c.name, "structure": c.structure, "block_bits": c.block_bits, "key_bits": c.key_bits,
        "rounds": c.rounds, "source": c.source, "samples": one.samples, "rounds_to_full_diffusion": one.diffused,
        "rounds_to_strict_avalanche": one.strict, "tolerance": one.tolerance, "flipped": one.flipped,
        "reached": one.reached, "worst": one.worst,
    }  # fmt: skip


def box(answer: CiphersAnswer) -> Record | None:
    from ..experiments.differential import difference_table, linear_table, uniformity

    b = answer.box
    if b is None:
        return None
    table = difference_table(b)
    return {
        "name": b.name, "inputs": b.inputs, "outputs": b.outputs, "values": b.values,
        "largest_entry": uniformity(table), "largest_bias": int(abs(linear_table(b)[1:]).max()),
        "difference_table": table,
    }  # fmt: skip


def line(answer: CiphersAnswer, one: Line) -> Record:
    """One characteristic: its differences before and after every round, and the measured differential."""
    c, m = one.characteristic, one.measured
    digits = answer.curves[0].cipher.block_bits // 4
    return {
        "rounds": c.rounds, "weight": c.weight, "published_weight": one.published, "active_sboxes": one.active,
        "measured_weight": m.weight if m else None, "hits": m.hits if m else None, "pairs": m.pairs if m else None,
        "keys": m.keys if m else None, "weights": c.weights,
        "differences": [f"{d:0{digits}x}" for d in c.differences],
    }  # fmt: skip


def rows(answer: CiphersAnswer) -> list[Record]:
    """One row for each cipher and round, with the characteristic of so many rounds where one was searched."""
    lines = {one.characteristic.rounds: one for one in answer.lines}
    found = []
    for one in answer.curves:
        for r in range(one.cipher.rounds + 1):
            row: Record = {"cipher": one.cipher.name, "round": r, "flipped": one.flipped[r],
                           "reached": one.reached[r], "worst": one.worst[r]}  # fmt: skip
            if r in lines:
                told = line(answer, lines[r])
                row |= {k: v for k, v in told.items() if k not in ("rounds", "weights", "differences")}
                row |= {"input": told["differences"][0], "output": told["differences"][-1]}
            found.append(row)
    if found or answer.box is None:
        return found
    from ..experiments.differential import difference_table

    table = difference_table(answer.box)
    return [{"input": a, "output": b, "count": int(table[a, b])} for a, b in zip(*table.nonzero(), strict=True)]
