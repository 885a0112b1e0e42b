"""Whether a source repeats its prompts: its own rates say so where no machine could have computed them.

By Little's law a row's concurrency over the time of a request is its rate of requests. If that rate times the FLOPs
of a prompt passes half of the devices' dense peak, prompts came out of a prefix cache. Whoever repeats prompts does
so in all rows, so a source is judged by its rows together. The measured figures decide how a row is read and
nothing else: only its time per token is then answered with cached prompts; its time to first token never is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..errors import BadInput
from ..kernel.counts import active_parameters
from .answer import Text, number
from .predict import named

MOST_OF_PEAK = 0.5
"""Share of the dense peak that no engine spends on prompts while it also decodes."""

MANY = 0.25
"""Share of a source's rows that must say so before the source is read that way."""


def repeated(rows: Sequence[Text]) -> list[bool]:
    """For each row of the silicon sample, whether its source answered prompts out of a prefix cache.

    >>> row = {"model_path": "meta-llama/Llama-3.1-8B", "system": "h200_sxm", "backend": "vllm",
    ...     "precision": "fp8", "mode": "agg", "isl": "2000", "osl": "100", "tp_size": "1",
    ...     "silicon_concurrency": "64", "silicon_ttft_ms": "122", "silicon_tpot_ms": "9.74",
    ...     "silicon_data_source": "gap analysis"}
    >>> repeated([row]), repeated([row | {"silicon_tpot_ms": "97.4"}])
    ([True], [False])
    """
    sources: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        origin = row.get("silicon_data_source") or ""
        if "gap analysis" in origin and row.get("mode") == "agg":
            sources[origin.partition(";")[0]].append(i)
    found = [False] * len(rows)
    for members in sources.values():
        too_fast = sum(_share_of_peak(rows[i]) > MOST_OF_PEAK for i in members)
        for i in members:
            found[i] = too_fast >= MANY * len(members)
    return found


def _share_of_peak(row: Text) -> float:
    """FLOPs of all prompts a second over the devices' dense peak; 0 where the row does not tell."""
    try:
        users, isl, osl = (number(row, name) for name in ("silicon_concurrency", "isl", "osl"))
        ttft, tpot = (number(row, f"silicon_{name}_ms") for name in ("ttft", "tpot"))
        devices = (number(row, "tp_size") or 1.0) * (number(row, "attention_dp_size") or 1.0)
        model, machine, precision = named(*(row.get(name) or "" for name in ("model_path", "system", "backend", "precision")))
        if not (users and isl and osl and ttft and tpot):
            return 0.0
        requests = users / (ttft + tpot * (osl - 1)) * 1e3
        return requests * isl * 2 * float(active_parameters(model)["with none"]) / (float(machine.peak(precision.mlp.compute)) * devices)
    except (BadInput, ArithmeticError):
        return 0.0
