"""A study of ciphers: avalanche of each, and of one its S-box and best characteristics, held to encryptions.

>>> study(["present"], rounds=4, samples=64).trails[3].characteristic.weight
12.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import BadInput
from ..progress import tell
from .avalanche import Avalanche, avalanche
from .cipher import Cipher
from .ciphers import cipher
from .ciphers import ciphers as every
from .differential import MeasuredDifferential, SBox, difference_table, measure, sbox, uniformity
from .present import present
from .search import Characteristic, Characteristics, best
from .transitions import PUBLISHED, SEARCHED, BoxTransitions, Searchable

LEARN = "to learn from; these implementations are never for protecting data"

CERTAIN = "this S-box lets some difference through with certainty, so nothing bounds a search of characteristics"

USUAL = {"simon32/64": 8, "speck32/64": 5, "present-80": 5, "present-128": 5}
"""Rounds that are searched in a few seconds."""

HITS = 8
"""A differential is measured where at least so many pairs should follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The best characteristic of a number of rounds, beside what is published and what encrypting gave.

    `active`: the fewest S-boxes with a difference in so many rounds, by a search of its own. `measured`: how often
    its first difference led to its last; None where that is too rare to see.
    """

    characteristic: Characteristic
    published: float | None
    active: int | None
    measured: MeasuredDifferential | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Curves of each cipher; an S-box; the best characteristics of the one cipher that was named.

    `unfinished`: where time ran out, the rounds searched and the weight below which there is nothing.
    """

    curves: tuple[Avalanche, ...]
    box: SBox | None
    trails: tuple[Trail, ...] = ()
    unfinished: tuple[int, float] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def study(
    names: Sequence[str] = (),
    *,
    rounds: int | None = None,
    box: SBox | None = None,
    pairs: int = 1 << 18,
    samples: int = 512,
    seconds: float = 30.0,
    seed: int = 0,
) -> Study:
    """Avalanche of ciphers, and where one is named its S-box and its best characteristics up to `rounds` rounds.

    `box` alone gives its tables; with PRESENT it replaces the cipher's own. `seconds`: for each search.
    """
    chosen = _chosen(names, box) if names else (() if box is not None else every())
    one = chosen[0] if len(chosen) == 1 else None
    certain = one is not None and box is not None and uniformity(difference_table(box)) == len(box.values)
    count = _rounds(rounds, one, certain)
    curves = tuple(
        avalanche(each, samples=samples, seed=seed, progress=_part(each.name, i, len(chosen), 0.3 if count else 1.0))
        for i, each in enumerate(chosen)
    )
    notes = (*((CERTAIN,) if certain else ()), LEARN)
    box_of = box if box is not None or one is None else _own(one)
    if one is None or not count:
        return Study(curves=curves, box=box_of, notes=notes)
    found, counted = _searched(one, box, count, seconds)
    known, source = PUBLISHED.get(one.name, ((), ""))
    trails = []
    for i, c in enumerate(found.best):
        tell(0.8 + 0.2 * i / len(found.best), f"encrypting pairs, {c.rounds} rounds")
        active = round(counted.best[i].weight) if counted and i < len(counted.best) else None
        published = known[i] if i < len(known) else None
        trails.append(Trail(characteristic=c, published=published, active=active, measured=_measured(one, c, pairs, seed)))
    if counted is not None and counted.unfinished is not None:
        at, weight = counted.unfinished
        notes = (f"counting active S-boxes stopped at {at} rounds; there are at least {weight:.0f}", *notes)
    return Study(curves=curves, box=box_of, trails=tuple(trails), unfinished=found.unfinished, source=source, notes=notes)


def _part(name: str, i: int, of: int, whole: float) -> Callable[[float], None]:
    return lambda done: tell(whole * (i + done) / of, name)


def _chosen(given: Sequence[str], box: SBox | None) -> tuple[Cipher, ...]:
    """The named ciphers, each once; PRESENT with another S-box where one is given."""
    found = tuple({one.name: one for one in map(cipher, given)}.values())
    if box is None:
        return found
    if len(found) > 1 or not found[0].name.startswith("present-"):
        names = ", ".join(c.name for c in found)
        raise BadInput(f"an S-box can be replaced in PRESENT only, not in {names}; give --cipher present, or the S-box alone")
    if (box.inputs, box.outputs) != (4, 4):
        raise BadInput(f"{box.name} takes {box.inputs} bits and PRESENT's S-box takes 4; give one of 16 values")
    return (present(found[0].key_bits, box.values),)


def _own(cipher: Cipher) -> SBox | None:
    """The S-box that a cipher is built on; of DES the first."""
    name = {"aes-128": "aes", "des": "des1", "present-80": "present", "present-128": "present"}.get(cipher.name)
    return sbox(name) if name else None


def _rounds(given: int | None, cipher: Cipher | None, certain: bool) -> int:
    """How many rounds to search; 0 for none. `certain`: some difference passes the S-box with certainty."""
    name = cipher.name.removesuffix(" with another S-box") if cipher else ""
    if given is None:
        return 0 if certain else USUAL.get(name, 0)
    if cipher is None or name not in USUAL:
        what = f"not searched for {name}" if cipher else "searched for one cipher at a time"
        raise BadInput(f"rounds are those of characteristics, which are {what}; give --cipher simon32, speck32 or present")
    if given > cipher.rounds:
        raise BadInput(f"rounds = {given} is out of range; give a whole number from 1 to {cipher.rounds} of {name}")
    return given


def _searched(cipher: Cipher, box: SBox | None, rounds: int, seconds: float) -> tuple[Characteristics, Characteristics | None]:
    """The best characteristics, and of a cipher of S-boxes the fewest active ones."""
    spn = cipher.structure == "SPN"
    transitions = BoxTransitions(box) if spn else SEARCHED[cipher.name]()
    found = _best(transitions, rounds, seconds, 0.3, 0.3 if spn else 0.5)
    return found, _best(BoxTransitions(box, count=True), rounds, seconds, 0.6, 0.2) if spn else None


def _best(transitions: Searchable, rounds: int, seconds: float, start: float, share: float) -> Characteristics:
    return best(
        transitions,
        rounds,
        seconds=seconds,
        progress=lambda p: tell(
            start + share * (p.rounds - 1) / rounds,
            f"{p.rounds} rounds within weight {p.target:g}: {p.differences:,} differences after round {p.level - 1}",
        ),
    )


def _measured(cipher: Cipher, one: Characteristic, pairs: int, seed: int) -> MeasuredDifferential | None:
    if pairs * 2.0**-one.weight < HITS:
        return None
    return measure(cipher, one.differences[0], one.differences[-1], one.rounds, pairs=pairs, seed=seed)
