"""The ciphers of the laboratory by name. To learn from, never to protect data."""

from __future__ import annotations

from functools import cache

from ..errors import unknown
from .aes import aes
from .cipher import Cipher
from .des import des
from .present import present
from .simon_speck import simon, speck

ALSO = {
    "simon32": "simon32/64",
    "simon64": "simon64/128",
    "speck32": "speck32/64",
    "speck64": "speck64/128",
    "speck128": "speck128/128",
    "present": "present-80",
    "aes": "aes-128",
    "aes128": "aes-128",
}
"""Short names."""


@cache
def ciphers() -> tuple[Cipher, ...]:
    """Every cipher."""
    return (simon(16, 4), simon(32, 4), speck(16, 4), speck(32, 4), speck(64, 2), des(), present(80), present(128), aes())


def cipher(name: str) -> Cipher:
    """A cipher by its name or a short one.

    >>> cipher("PRESENT").rounds
    31
    """
    given = name.strip().lower()
    known = {one.name: one for one in ciphers()}
    found = known.get(ALSO.get(given, given))
    if found is None:
        raise unknown("cipher", name, [*ALSO, *known], hint=f"; known: {', '.join(known)}")
    return found
