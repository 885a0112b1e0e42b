"""Fit what llama.cpp reaches with one sequence: python -m calibration.llamacpp [--data DIR].

Reads the published tokens per second of gaming, workstation and server cards, and the few published figures of Apple
chips, and writes `data/fitted/llamacpp.toml`: for each class of device the shares of memory bandwidth (decoding) and
of the tensor peak (prompts), the factor of the former for blocks of few bits and the seconds between kernels, with
priors and a robust loss. Scored on devices left out.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.evidence.answer import Asked
from rackmath.evidence.kinds import answered, kind_named
from rackmath.kernel.llamacpp import CLASSES, class_of, constants_of
from rackmath.world import catalog

from .kernel_rows import default_data

Column = NDArray[np.float64]
START, WIDTH = np.log([0.85, 6e-6, 0.5, 0.95]), np.array([0.3, 0.8, 0.5, 0.1])
NOISE, LOSS_SCALE = 0.1, 0.15
APPLE = {
    "mit-m1max-gemv": None,
    "m5-7b": ("Llama-2-7B", "Q4_0"),
    "m4mini-8b": ("Llama-3-8B", "Q4_K_M"),
    "m1max-8b": ("Llama-3-8B", "Q4_K_M"),
}
"""Published figures of Apple chips, by id, as model and format."""


HEAD = (
    "# Shares of bandwidth and peak, and seconds between kernels, of llama.cpp with one sequence, by class of",
    "# device. Written by `python -m calibration.llamacpp`. median, unseen: absolute error of decoding",
    "# on the fitted rows, and on devices left out.",
    'source = "XiongjieDai/GPU-Benchmarks-on-LLM-Inference aa72e0ec86 (2024-05); ggml-org/llama.cpp, normiebench issues for Apple chips"',
    'date = "2026-11-25"',
)
"""What the file opens with."""


def main() -> None:
    """Fit every class, leave each device out in turn, write."""
    from scipy.optimize import least_squares

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=default_data())
    rows = _rows(parser.parse_args().data / "serving")
    kind = kind_named("llamacpp")

    def errors(x: Column, some: list[dict[str, str]]) -> Column:
        share, gap, compute, packed = np.exp(x)
        asked = Asked(efficiency=constants_of(min(share, 1.0), gap, min(compute, 1.0), packed))
        said = answered(kind, some, asked)
        found = [np.log(a.said.estimates["value"].pred / float(r["value"])) for a, r in zip(said, some, strict=True)]
        return np.array(found)

    def solve(some: list[dict[str, str]]) -> Column:
        best = least_squares(
            lambda x: np.concatenate([errors(x, some) / NOISE, (x - START) / WIDTH]),
            START,
            loss="soft_l1",
            f_scale=LOSS_SCALE / NOISE,
            diff_step=1e-3,
            max_nfev=20,
        )
        found: Column = best.x
        return found

    lines = list(HEAD)
    for name in CLASSES:
        own = [r for r in rows if class_of(catalog.machine(r["gpu"])) == name]
        decode = [r for r in own if r["metric"].startswith("decode")]
        prompt = [r for r in own if not r["metric"].startswith("decode")]
        x = solve(decode)
        left: dict[str, list[float]] = defaultdict(list)
        for device in sorted({_device(r) for r in decode}):
            rest, out = ([r for r in decode if (_device(r) == device) is same] for same in (False, True))
            left[device] += list(errors(solve(rest) if rest else START, out))
        unseen = np.abs(np.expm1(np.concatenate([np.array(v) for v in left.values()])))
        seen = np.abs(np.expm1(errors(x, decode)))
        compute = float(np.exp(solve(prompt)[2])) if prompt else float(np.exp(START[2]))
        print(f"{name}: {len(decode)} rows, median {np.median(seen):.3f}, devices left out {np.median(unseen):.3f}")
        lines += [
            "",
            f"[{name}]",
            f"memory_share = {min(np.exp(x[0]), 1.0):.4g}",
            f"launch = {np.exp(x[1]):.4g}",
            f"compute_share = {min(compute, 1.0):.4g}",
            f"packed = {np.exp(x[3]):.4g}",
            f"points = {len(decode)}",
            f"median = {np.median(seen):.3f}",
            f"unseen = {np.median(unseen):.3f}",
        ]
    (shipped.FITTED / "llamacpp.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _device(row: dict[str, str]) -> str:
    return row["gpu"].split(" * ")[0]


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "llamacpp_batch1_gpus_apple.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(folder / "published_headline_figures.csv", encoding="utf-8", newline="") as file:
        for one in csv.DictReader(file):
            known = APPLE.get(one["id"])
            if known:
                rows.append(
                    {
                        "gpu": one["hardware"],
                        "model": known[0],
                        "quant": known[1],
                        "value": one["value"],
                        "metric": "decode_tok_s (128 generated, batch 1)",
                    }
                )
    return rows


if __name__ == "__main__":
    main()
