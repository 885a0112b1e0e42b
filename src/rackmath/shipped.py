"""Files that come with the package: `data/facts` from sources, by hand, and `data/fitted`, written by scripts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"
FACTS = DATA / "facts"
"""What sources say: machines, models, prices, engines, laws, logs, each value with its source."""

FITTED = DATA / "fitted"
"""What scripts computed from measured rows or recorded from runs: constants, intervals, draws, scores."""


def read(path: Path) -> dict[str, Any]:
    """The tables of a packaged TOML file.

    >>> read(FACTS / "benchmarks.toml")["gptj"]["model"]
    'EleutherAI/gpt-j-6b'
    """
    return tomllib.loads(path.read_text(encoding="utf-8"))
