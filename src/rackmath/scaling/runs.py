"""Training runs from a file of one's own: a CSV with columns for parameters, tokens and loss.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.csv"
>>> _ = path.write_text("N,D,loss\\n1B,20B,2.53\\n70e6,1.4e9,3.5\\n")
>>> read(path).tokens.tolist()
[20000000000.0, 1400000000.0]
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput, did_you_mean, shown, shown_path
from ..files import RUNS, read_text
from ..units import parse
from .fit import LawRuns
from .points import FEWEST_TOKENS, HIGHEST_LOSS, MOST_PARAMS

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "params": ("n", "params", "parameters", "model_size"),
    "tokens": ("d", "tokens", "training_tokens"),
    "loss": ("loss", "l", "final_loss", "val_loss", "validation_loss"),
    "flops": ("c", "flops", "training_flops", "training_flop", "compute"),
}
"""Names a column may have, in any case. FLOPs stand in for tokens: D = C / (6 N)."""


MOST_RUNS = 100_000


def read(path: str | Path) -> LawRuns:
    """The runs of a CSV file; numbers may carry k, M, B and T."""
    text = read_text(path, most=RUNS, give="give the path of a CSV file of runs")
    if text.count("\n") > MOST_RUNS:
        raise BadInput(f"{shown_path(path)} has more than {MOST_RUNS:,} lines; give those of one family of models")
    try:
        return _runs(text, shown_path(path))
    except csv.Error as error:
        raise BadInput(f"{shown_path(path)} is not a CSV file: {error}") from None


def _runs(text: str, path: str) -> LawRuns:
    reader = csv.DictReader(text.splitlines(), restval="")
    named = _named(list(reader.fieldnames or ()), path)
    rows = list(reader)
    if not rows:
        raise BadInput(f"{path} has no runs below its header; write one run a line")
    found = {key: np.array([_cell(row[title], key, title, i) for i, row in enumerate(rows, 2)]) for key, title in named.items()}
    params, loss = found["params"], found["loss"]
    tokens = found["tokens"] if "tokens" in found else found["flops"] / (6 * params)
    _slips(path, params, tokens, loss)
    return LawRuns(params=params, tokens=tokens, loss=loss)


def _named(titles: Sequence[str], path: str) -> dict[str, str]:
    """Which column of the file holds what."""
    plain = {title.strip().lower().replace(" ", "_"): title for title in titles}
    found = {}
    for key, names in COLUMNS.items():
        mine = [plain[name] for name in names if name in plain]
        if len(mine) > 1:
            raise BadInput(f"{path} has several columns for {key}: {', '.join(mine)}; leave one")
        if mine:
            found[key] = mine[0]
    for key in ("params", "tokens", "loss"):
        if key in found or (key == "tokens" and "flops" in found):
            continue
        near = next((hint for name in COLUMNS[key] if (hint := did_you_mean(name, titles, most=1))), "")
        has = f"it has {', '.join(titles)[:200]}{near}" if titles else "the file is empty"
        commas = "; separate columns with commas" if len(titles) == 1 and not titles[0].isidentifier() else ""
        raise BadInput(f"{path} has no column for {key} ({', '.join(COLUMNS[key])}); {has}{commas}")
    if "tokens" in found:
        found.pop("flops", None)
    return found


def _cell(text: str | None, key: str, title: str, line: int) -> float:
    if not (text or "").strip():
        raise BadInput(f"{title} in line {line} is empty; give a number above 0, or leave out that run")
    value = parse(str(text).strip(), "count", name=f"{title} in line {line}")
    if value <= 0:
        raise BadInput(f"{title} in line {line} is {shown(text)}, not above 0; correct or leave out that run")
    return value


def _slips(path: str, params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> None:
    """Refuse what is most likely a slip of units, in one sentence."""
    if params.max() > MOST_PARAMS or params.max() < 1e4:
        raise BadInput(f"{path} has models of up to {params.max():.3g} parameters; give plain counts, or write 1.3B, not 1.3")
    if np.median(tokens / params) < FEWEST_TOKENS:
        raise BadInput(
            f"{path} has {np.median(tokens / params):.2g} tokens for each parameter; are the columns swapped, or"
            " tokens in billions? give plain counts, or write 20B"
        )
    if loss.max() > HIGHEST_LOSS:
        raise BadInput(f"{path} has losses of up to {loss.max():.3g}; give nats per token, the log of a perplexity")
