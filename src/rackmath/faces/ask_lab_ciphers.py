"""The verb `lab ciphers`: words in, answers out. No arithmetic here.

>>> answer = ciphers("present", rounds=4, samples=64)
>>> [line.characteristic.weight for line in answer.lines]
[2.0, 4.0, 8.0, 12.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..questions.resolve import Quantity, whole
from ..units import parse
from .progress_bar import Hear, silent

if TYPE_CHECKING:
    from ..experiments.avalanche import Avalanche
    from ..experiments.cipher import Cipher
    from ..experiments.differential import Measured, SBox
    from ..experiments.search import Characteristic, Found
    from ..experiments.transitions import Searchable
    from .export import Face

LEARN = "to learn from; these implementations are never for protecting data"

CERTAIN = "this S-box lets some difference through with certainty, so nothing bounds a search of characteristics"

USUAL = {"simon32/64": 8, "speck32/64": 5, "present-80": 5, "present-128": 5}
"""Rounds that are searched in a few seconds."""

HITS = 8
"""A differential is measured where at least so many pairs should follow it."""

MOST_PAIRS = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The best characteristic of a number of rounds, beside what is published and what encrypting gave.

    `active`: the fewest S-boxes with a difference in so many rounds, by a search of its own. `measured`: how often
    its first difference led to its last; None where that is too rare to see.
    """

    characteristic: Characteristic
    published: float | None
    active: int | None
    measured: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CiphersAnswer:
    """Curves of each cipher; an S-box; the best characteristics of the one cipher that was named.

    `unfinished`: where time ran out, the rounds searched and the weight below which there is nothing.
    """

    curves: tuple[Avalanche, ...]
    box: SBox | None
    lines: tuple[Line, ...]
    unfinished: tuple[int, float] | None
    source: str
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_lab_ciphers

        return show_lab_ciphers.face(self)


def ciphers(
    cipher: str | Sequence[str] | None = None,
    *,
    rounds: Quantity | None = None,
    sbox: Quantity | Sequence[int] | None = None,
    pairs: Quantity = 1 << 18,
    samples: Quantity = 512,
    limit: Quantity = 30.0,
    seed: Quantity = 0,
    progress: Hear = silent,
) -> CiphersAnswer:
    """Avalanche of ciphers, and where one is named its S-box and its best characteristics up to `rounds` rounds.

    `sbox` alone gives its tables; with PRESENT it replaces the cipher's own. `limit`: seconds for each search.
    """
    from ..experiments.avalanche import avalanche
    from ..experiments.ciphers import ciphers as every
    from ..experiments.differential import difference_table, uniformity
    from ..experiments.differential import sbox as read

    start = whole(seed, "seed", 0, 1 << 32)
    most = whole(pairs, "pairs", 1, MOST_PAIRS)
    blocks = whole(samples, "samples", 8, 1 << 14)
    seconds = parse(limit, "s", name="limit")
    if not 0 < seconds <= 86400:
        raise BadInput(f"limit = {limit} is out of range; give a time above 0 and up to 24h")
    given = [cipher] if isinstance(cipher, str) else list(cipher or ())
    box = None if sbox is None else read(sbox if isinstance(sbox, str | Sequence) else [int(sbox)])
    chosen = _chosen(given, box) if given else (() if box is not None else every())
    one = chosen[0] if len(chosen) == 1 else None
    certain = one is not None and box is not None and uniformity(difference_table(box)) == len(box.values)
    count = _rounds(rounds, one, certain)
    curves = []
    for i, each in enumerate(chosen):
        hear = _part(progress, each.name, i / len(chosen), 1 / len(chosen), 0.3 if count else 1.0)
        curves.append(avalanche(each, samples=blocks, seed=start, progress=hear))
    lines, unfinished, source, notes = _searched(one, box, count, seconds, most, start, progress)
    return CiphersAnswer(
        curves=tuple(curves), box=box if box is not None or one is None else _own(one), lines=lines,
        unfinished=unfinished, source=source, notes=(*notes, *((CERTAIN,) if certain else ()), LEARN),
    )  # fmt: skip


def _part(progress: Hear, name: str, start: float, width: float, whole: float) -> Callable[[float], None]:
    return lambda done: progress(whole * (start + width * done), name)


def _chosen(given: Sequence[str], box: SBox | None) -> tuple[Cipher, ...]:
    """The named ciphers, each once; PRESENT with another S-box where one is given."""
    from ..experiments.ciphers import cipher
    from ..experiments.present import present

    found = tuple({one.name: one for one in map(cipher, given)}.values())
    if box is None:
        return found
    if len(found) > 1 or not found[0].name.startswith("present-"):
        raise BadInput(f"an S-box can be replaced in PRESENT only, not in {', '.join(c.name for c in found)};"
                       " give --cipher present, or the S-box alone")  # fmt: skip
    if (box.inputs, box.outputs) != (4, 4):
        raise BadInput(f"{box.name} takes {box.inputs} bits and PRESENT's S-box takes 4; give one of 16 values")
    return (present(found[0].key_bits, box.values),)


def _own(cipher: Cipher) -> SBox | None:
    """The S-box that a cipher is built on; of DES the first."""
    from ..experiments.differential import sbox

    name = {"aes-128": "aes", "des": "des1", "present-80": "present", "present-128": "present"}.get(cipher.name)
    return sbox(name) if name else None


def _rounds(given: Quantity | None, cipher: Cipher | None, certain: bool) -> int:
    """How many rounds to search; 0 for none. `certain`: some difference passes the S-box with certainty."""
    name = cipher.name.removesuffix(" with another S-box") if cipher else ""
    if given is None:
        return 0 if certain else USUAL.get(name, 0)
    if cipher is None or name not in USUAL:
        what = f"not searched for {name}" if cipher else "searched for one cipher at a time"
        raise BadInput(f"rounds are those of characteristics, which are {what};"
                       " give --cipher simon32, speck32 or present")  # fmt: skip
    return whole(given, "rounds", 1, cipher.rounds, of=f" of {name}")


def _searched(
    cipher: Cipher | None, box: SBox | None, rounds: int, seconds: float, pairs: int, seed: int, progress: Hear
) -> tuple[tuple[Line, ...], tuple[int, float] | None, str, tuple[str, ...]]:
    """The lines of a cipher, where its search ended, and what was published."""
    from ..experiments.transitions import PUBLISHED, SEARCHED, BoxTransitions

    if cipher is None or not rounds:
        return (), None, "", ()
    spn = cipher.structure == "SPN"
    transitions = BoxTransitions(box) if spn else SEARCHED[cipher.name]()
    share = 0.3 if spn else 0.5
    found = _best(transitions, rounds, seconds, progress, 0.3, share)
    counted = _best(BoxTransitions(box, count=True), rounds, seconds, progress, 0.6, 0.2) if spn else None
    known, source = PUBLISHED.get(cipher.name, ((), ""))
    lines = []
    for i, one in enumerate(found.best):
        progress(0.8 + 0.2 * i / len(found.best), f"encrypting pairs, {one.rounds} rounds")
        active = round(counted.best[i].weight) if counted and i < len(counted.best) else None
        lines.append(
            Line(characteristic=one, published=known[i] if i < len(known) else None, active=active,
                 measured=_measured(cipher, one, pairs, seed))
        )  # fmt: skip
    notes: tuple[str, ...] = ()
    if counted is not None and counted.unfinished is not None:
        at, weight = counted.unfinished
        notes = (f"counting active S-boxes stopped at {at} rounds; there are at least {weight:.0f}",)
    return tuple(lines), found.unfinished, source, notes


def _best(transitions: Searchable, rounds: int, seconds: float, progress: Hear, start: float, share: float) -> Found:
    from ..experiments.search import best

    return best(
        transitions, rounds, seconds=seconds,
        progress=lambda p: progress(
            start + share * (p.rounds - 1) / rounds,
            f"{p.rounds} rounds within weight {p.target:g}: {p.differences:,} differences after round {p.level - 1}",
        ),
    )  # fmt: skip


def _measured(cipher: Cipher, one: Characteristic, pairs: int, seed: int) -> Measured | None:
    from ..experiments.differential import measure

    if pairs * 2.0**-one.weight < HITS:
        return None
    return measure(cipher, one.differences[0], one.differences[-1], one.rounds, pairs=pairs, seed=seed)
