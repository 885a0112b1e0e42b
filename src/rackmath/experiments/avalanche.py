"""How fast a flipped input bit spreads over the output, round by round. To learn from, never to protect data.

Strict avalanche criterion (Webster and Tavares, CRYPTO 1985): flipping any input bit flips every output bit with
probability one half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .cipher import Cipher, states, to_bits
from .differential import random_key

CHANCE = 5.0
"""Standard errors within which an entry of the matrix passes for one half."""

MOST = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Avalanche:
    """Shares of flips after 0, 1, 2, ... rounds, over `samples` random blocks under several keys.

    `matrices[r, i, j]`: of all samples, the share in which flipping input bit i flipped output bit j after r rounds.
    """

    cipher: Cipher
    samples: int
    matrices: NDArray[np.float64]

    @property
    def flipped(self) -> NDArray[np.float64]:
        """The mean share of output bits that one input bit flips, after each number of rounds."""
        return np.asarray(self.matrices.mean(axis=(1, 2)))

    @property
    def reached(self) -> NDArray[np.float64]:
        """The share of pairs of an input and an output bit with a flip in at least one sample."""
        return np.asarray((self.matrices > 0).mean(axis=(1, 2)))

    @property
    def worst(self) -> NDArray[np.float64]:
        """The largest distance of an entry from one half."""
        return np.asarray(np.abs(self.matrices - 0.5).max(axis=(1, 2)))

    @property
    def tolerance(self) -> float:
        """The distance from one half that chance alone explains."""
        return CHANCE * 0.5 / math.sqrt(self.samples)

    @property
    def diffused(self) -> int | None:
        """Rounds until every output bit was seen to depend on every input bit; None where that never happens."""
        return _first(self.reached == 1.0)

    @property
    def strict(self) -> int | None:
        """Rounds until every entry is one half as far as the samples tell; None where they are too few."""
        return _first(self.worst <= self.tolerance) if self.tells else None

    @property
    def tells(self) -> bool:
        """Whether the samples can tell one half from never and from always."""
        return self.tolerance < 0.5


def _first(met: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(met)) if met.any() else None


def avalanche(
    cipher: Cipher, *, samples: int = 512, keys: int = 8, seed: int = 0, progress: Callable[[float], None] = lambda _: None
) -> Avalanche:
    """Flip every input bit of random blocks and watch every round; `progress` hears the share that is done.

    >>> from rackmath.experiments.ciphers import cipher
    >>> avalanche(cipher("aes")).diffused
    2
    """
    if samples != samples or samples != int(samples) or not keys <= samples <= MOST:
        raise BadInput(f"{samples} samples cannot be taken; give a whole number from {keys} to {MOST:,}")
    rng = np.random.default_rng(seed)
    n, each = cipher.block_bits, math.ceil(samples / keys)
    single = np.packbits(np.eye(n, dtype=np.uint8), axis=1)
    counts = np.zeros((cipher.rounds + 1, n, n))
    for turn in range(keys):
        key = random_key(cipher, rng)
        plain = rng.integers(0, 256, (each, n // 8), dtype=np.uint8)
        flipped = (plain[:, None, :] ^ single[None, :, :]).reshape(-1, n // 8)
        both = zip(states(cipher, plain, key), states(cipher, flipped, key), strict=True)
        for r, (a, b) in enumerate(both):
            counts[r] += to_bits(a[:, None, :] ^ b.reshape(each, n, -1)).sum(axis=0)
            progress((turn + r / cipher.rounds) / keys)
    return Avalanche(cipher=cipher, samples=each * keys, matrices=counts / (each * keys))
