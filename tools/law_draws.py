"""Write data/fitted/law_draws.csv: bootstrap fits of the runs of Hoffmann et al. as Besiroglu et al. read them.

python tools/law_draws.py svg_extracted_data.csv

The file is that of github.com/Besiroglu/data (columns "Model Size", "Training FLOP", "loss"; 245 runs). The five runs
of highest loss, which had the least data, are left out of the first law and kept in the second, as in the paper.
"""

from __future__ import annotations

import csv
import sys

import numpy as np

from rackmath import shipped
from rackmath.scaling.fit import NAMES, FittedLaw, LawRuns, fit

OUT = shipped.FITTED / "law_draws.csv"
DRAWS, OUTLIERS = 1000, 5


def read(path: str) -> LawRuns:
    """The published runs, by loss, the lowest first; tokens from C = 6 N D."""
    with open(path, encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    params, flops, loss = (np.array([float(r[k]) for r in rows]) for k in ("Model Size", "Training FLOP", "loss"))
    order = np.argsort(loss)
    return LawRuns(params=params[order], tokens=(flops / 6 / params)[order], loss=loss[order])


def report(fitted: FittedLaw) -> None:
    sample = fitted.law.sample
    assert sample is not None
    print(fitted.law.name, len(fitted.runs), "runs")
    for key in NAMES:
        low, high = fitted.interval(key, 0.95)
        spread = f"deviation {sample[key].std():.4g}, 95 % {low:.5g} to {high:.5g}"
        print(f"  {key:6} {fitted.law.coefficients[key]:12.6g}  {spread}")
    print("  log B and beta correlate", np.corrcoef(np.log(sample["B"]), sample["beta"])[0, 1].round(4))


def main() -> None:
    runs = read(sys.argv[1])
    kept = LawRuns(params=runs.params[:-OUTLIERS], tokens=runs.tokens[:-OUTLIERS], loss=runs.loss[:-OUTLIERS])
    found = [fit(kept, name="besiroglu", resamples=DRAWS), fit(runs, name="besiroglu-outliers", resamples=DRAWS)]
    with OUT.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["law", *NAMES])
        for one in found:
            report(one)
            assert one.law.sample is not None
            columns = [one.law.sample[key] for key in NAMES]
            writer.writerows([one.law.name, *(f"{v:.7g}" for v in row)] for row in zip(*columns, strict=True))


if __name__ == "__main__":
    main()
