"""Intervals of what nothing was fitted on: python -m calibration.intervals [--data DIR].

Scores every kind of measured file but aggregated serving (whose intervals `calibration.engines` writes from rows left
out) and writes the 5 % and 95 % quantiles of measured over predicted to `data/fitted/kind_intervals.toml`, by column
and mode. The constants come from kernels and other runs, so these rows are left out already, but for a few numbers
chosen on them: the acceptance of drafts and the line before two pools (`predict`), and llama.cpp's constants
(`calibration.llamacpp`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from rackmath import shipped
from rackmath.evidence.kinds import answers

from .engines import quantiles
from .kernel_rows import default_data

FILES = {
    "silicon": "serving/inferencex_silicon_sample_aic.csv",
    "inferencex": "serving/inferencex_fixed_seq.csv",
    "trtllm-static": "serving/trtllm_static_batch_v0.5-v0.9.csv",
    "trtllm-max": "serving/trtllm_perf_overview_v1.0_v1.2.csv",
    "mlperf": "serving/mlperf_inference_llm.csv",
    "llamacpp": "serving/llamacpp_batch1_gpus_apple.csv",
    "vllm-log": "serving/llmservingsim_vllm_requests.csv",
    "palm": "training/reported_runs.csv",
}
FEWEST = 19
"""Rows below which a mode takes the quantiles of its column, and a column none."""


def main() -> None:
    """Score, take quantiles, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=default_data())
    folder = parser.parse_args().data
    lines = [
        "# 5 % and 95 % of measured over predicted, by kind of file, column and mode; rows that were not fitted on.",
        "# Written by `python -m calibration.intervals`.",
    ]
    for kind, name in FILES.items():
        ratios: dict[str, list[float]] = defaultdict(list)
        for answer in answers(folder / name, kind)[-1]:
            serving = kind in ("silicon", "inferencex")
            if serving and answer.said.mode == "aggregated":
                continue
            for column, value in answer.measured.items():
                estimate = answer.said.estimates.get(column)
                if estimate is None or not value > 0:
                    continue
                ratios[f"{column}|{answer.said.mode}"].append(value / estimate.pred)
                ratios[column].append(value / estimate.pred)
        lines += ["", f"[{kind}]"]
        for key, found in sorted(ratios.items()):
            if len(found) >= FEWEST:
                low, high = quantiles(np.array(found))
                lines.append(f'"{key}" = {{ low = {low:.4g}, high = {high:.4g}, rows = {len(found)} }}')
    (shipped.FITTED / "kind_intervals.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
