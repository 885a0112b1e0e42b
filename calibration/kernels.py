"""Fit the constants of `kernel.achieved` to measured kernel times.

`python -m calibration.kernels [--data DIR]` reads the kernel tables in `ops/` of the data folder
($RACKMATH_DATA, else ../shared/data beside the checkout), fits each kind, operand type and generation by least
squares on log(predicted / measured) with a robust loss, and writes `data/fitted/kernels.toml`. Deterministic: evenly
spaced rows of every engine's table are taken, and the optimiser starts at fixed values.

What is left out, and why:

- rows faster than the roofline of the catalogue's chip: a cache held the data, or the row is broken
- block-scaled products of vLLM: timed with their host launches, 90 us and more whatever the size
- Triton fallbacks on chips with a kernel of their own
- latent attention of the slower engine where it takes several times as long: all on A100 (one sequence is not split
  over the chip), SGLang's on Hopper with an fp8 cache and in prefill
- attention with windows, head dimensions above 256 or more than 32 query heads on a key head: kernels fall back
- experts whose loads follow a power law (imbalance is a term of its own), and on A100 those under expert
  parallelism, whose tables do not divide the rows
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.kernel import achieved
from rackmath.kernel.achieved import Achieved, FreshTokens, Kernel, Routed

from . import kernels_attention as attention
from . import kernels_compute as compute
from . import kernels_network as network
from .kernel_rows import Column, Key, Sample, default_data

OUT = shipped.FITTED / "kernels.toml"
MOST_ROWS = 2000
"""Rows of one chip, kind and type that are fitted, in equal parts from every engine; their errors are recorded."""

LOSS_SCALE = 0.15
"""Log errors beyond this count linearly, not squared."""


def _routed(k: Kernel, *, compute: Column, bytes: Column, bandwidth: Column, **routed: Column) -> Achieved:
    return achieved.experts(k, compute=compute, bytes=bytes, bandwidth=bandwidth, routed=Routed(**routed))


def _fresh(k: Kernel, *, compute: Column, bytes: Column, bandwidth: Column, **fresh: Column) -> Achieved:
    return achieved.attention_prefill(k, compute=compute, bytes=bytes, bandwidth=bandwidth, fresh=FreshTokens(**fresh))


_L, _C, _M = {"latency": (5e-6, 5e-7, 1e-3)}, {"compute_share": (0.5, 0.01, 0.9)}, {"memory_share": (0.7, 0.1, 0.93)}
_DECODE = {**_L, **_C, **_M, "pad": (8.0, 0.1, 256.0), "page": (64.0, 1.0, 512.0)}
SPECS: dict[str, tuple[Callable[..., Achieved], dict[str, tuple[float, float, float]]]] = {
    "gemm": (achieved.gemm, {**_L, **_C, **_M, "wave": (3e5, 1e3, 5e6)}),
    "experts": (_routed, {**_L, **_C, **_M, "pad": (16.0, 0.1, 256.0), "rows": (4.0, 0.1, 60.0), "tokens": (4.0, 0.1, 100.0)}),
    "attention_decode": (achieved.attention_decode, _DECODE),
    "mla_decode": (achieved.attention_decode, _DECODE),
    "attention_prefill": (_fresh, {**_L, **_C, **_M, "softmax": (200.0, 1.0, 2e3), "pad": (100.0, 1.0, 1e3), "wave": (1e4, 1e2, 1e5)}),
    "mla_prefill": (_fresh, {**_L, **_C, **_M, "softmax": (200.0, 1.0, 2e3), "pad": (100.0, 1.0, 1e3), "wave": (1e4, 1e2, 1e5)}),
    "scan": (achieved.scan, {**_L, **_M}),
    "scan_prefill": (achieved.scan, {**_L, **_C, **_M, "step": (1e-8, 1e-10, 1e-6)}),
    "elementwise": (achieved.elementwise, {**_L, **_M}),
    "all_reduce": (achieved.all_reduce, {**_L, **_M, "hop": (1e-7, 1e-9, 1e-5), "ramp": (0.5, 0.01, 4.0)}),
    "all_to_all": (achieved.all_to_all, {**_L, **_M, "hop": (1e-7, 1e-9, 1e-5), "ramp": (0.5, 0.01, 4.0)}),
}
"""Per kind: the function of `kernel.achieved`, and its constants as (start, lowest, highest)."""


READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Iterator[tuple[Key, Sample]]]], ...] = (
    (("gemm",), compute.gemm),
    (("experts",), compute.experts),
    (("attention_decode", "attention_prefill"), attention.attention),
    (("mla_decode", "mla_prefill"), attention.mla),
    (("scan", "scan_prefill"), attention.scan),
    (("elementwise",), compute.elementwise),
    (("all_reduce",), network.all_reduce),
    (("all_to_all",), network.all_to_all),
)
"""Kinds, and what reads them."""


def _thin(sample: Sample) -> Sample:
    """Rows that can be true, and evenly spaced ones of them."""
    good = np.isfinite(sample.seconds) & (sample.seconds > 0)
    if "compute" in sample.given:
        roof = np.maximum(sample.given["compute"], sample.given["bytes"] / sample.given["bandwidth"])
        good &= sample.seconds >= roof
    kept = []
    for name in np.unique(sample.chip):
        engines = np.unique(sample.engine[good & (sample.chip == name)])
        for engine in engines:
            rows = np.flatnonzero(good & (sample.chip == name) & (sample.engine == engine))
            kept.append(rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS // len(engines))).astype(int)])
    return sample.take(np.sort(np.concatenate(kept)))


def samples(data: Path, *kinds: str) -> dict[Key, Sample]:
    """Every kind (or those named) and type that was measured."""
    found: dict[Key, Sample] = {}
    for names, reader in READERS:
        if not kinds or set(kinds) & set(names):
            for key, sample in reader(data / "ops"):
                found[key] = _thin(sample)
    return found


# --- fitting ------------------------------------------------------------------------------------------------------


def fit(kind: str, sample: Sample) -> Kernel:
    """The constants of a kind that meet a sample best; the logarithm of each is searched between its bounds."""
    from scipy.optimize import least_squares  # the `fit` extra

    function, spec = SPECS[kind]
    start, low, high = (np.log([bounds[i] for bounds in spec.values()]) for i in range(3))
    target = np.log(sample.seconds)

    def residual(x: Column) -> Column:
        predicted = function(Kernel(**dict(zip(spec, np.exp(x), strict=True))), **sample.given)
        return np.asarray(np.log(predicted.seconds) - target, dtype=float)

    found = least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=LOSS_SCALE)
    return Kernel(**{name: _rounded(v) for name, v in zip(spec, np.exp(found.x), strict=True)})


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def errors(kind: str, kernel: Kernel, sample: Sample) -> Column:
    """Relative errors, predicted over measured time less 1."""
    predicted: Column = np.asarray(SPECS[kind][0](kernel, **sample.given).seconds)
    return predicted / sample.seconds - 1


def _unseen(kind: str, sample: Sample, whole: Sample, groups: NDArray[np.str_], others: NDArray[np.str_]) -> float:
    """Mean over the groups of `sample` of the median absolute error with that group left out.

    What is fitted instead: the rest of the sample, or, where it is one group, the other generations in `whole`.
    """
    found = []
    for group in np.unique(groups):
        rest = sample.take(groups != group) if (groups != group).any() else whole.take(others != group)
        if len(rest.seconds):
            error = errors(kind, fit(kind, rest), sample.take(groups == group))
            found.append(float(np.median(np.abs(error))))
    return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelEntry:
    """One entry of kernels.toml."""

    kernel: Kernel
    error: achieved.Error
    engines: Mapping[str, float]


def entry(kind: str, sample: Sample, whole: Sample, *, pooled: bool) -> KernelEntry:
    """Fit a sample and score it; `pooled`: it holds all generations, and whole generations are left out."""
    kernel = fit(kind, sample)
    error = errors(kind, kernel, sample)
    groups = sample.generation if pooled else sample.chip
    others = whole.generation if pooled else whole.chip
    return KernelEntry(
        kernel=kernel,
        error=achieved.Error(
            points=len(error),
            bias=round(float(np.median(error)), 3),
            median=round(float(np.median(np.abs(error))), 3),
            p90=round(float(np.percentile(np.abs(error), 90)), 3),
            unseen=round(_unseen(kind, sample, whole, groups, others), 3),
            chips=tuple(str(c) for c in np.unique(sample.chip)),
        ),
        engines={
            str(name): round(float(np.median(1 / (1 + error[sample.engine == name]))), 2)
            for name in np.unique(sample.engine)
            if len(np.unique(sample.engine)) > 1 and (sample.engine == name).sum() >= 20
        },
    )


def fit_all(data: Path, say: Callable[[str], None] = lambda _: None) -> dict[tuple[str, str, str], KernelEntry]:
    """Every kind, type and generation, and the pooled `default` of each kind and type."""
    found: dict[tuple[str, str, str], KernelEntry] = {}
    for (kind, type_), sample in samples(data).items():
        eras = sample.generation
        for era in (*np.unique(eras), "default"):
            part = sample if era == "default" else sample.take(eras == era)
            one = entry(kind, part, sample, pooled=era == "default")
            found[kind, type_, str(era)] = one
            say(f"{kind} {type_} {era}: {one.kernel} {one.error}")
    return found


# --- writing ------------------------------------------------------------------------------------------------------

HEAD = """\
# Constants of kernel/achieved.py, fitted by `python -m calibration.kernels`; do not edit by hand.
# [kind.type.generation]; `default` pools all generations and stands for those nobody measured.
# Seconds for latency, hop and step; shares are of a chip's own peak and bandwidth. bias, median and p90 are relative
# errors of predicted over measured time on the fitted points; `unseen` is the median absolute error on a chip left
# out of the fit (mean over the chips; for `default` whole generations are left out). engines: median time of an
# engine's kernels (for elementwise: of an operation) over the pooled kernel.
source = "aiconfigurator-core 0.12.0 kernel tables (Apache-2.0); elementwise: Vidur 7d47513363 profiles (MIT)"
date = "2026-11-24"
"""


def written(entries: Mapping[tuple[str, str, str], KernelEntry]) -> str:
    """The text of kernels.toml."""
    lines = [HEAD]
    for (kind, type_, era), one in entries.items():
        lines.append(f"[{kind}.{type_}.{era}]")
        lines += [f"{name} = {_number(getattr(one.kernel, name))}" for name in SPECS[kind][1]]
        error = one.error
        lines.append(f"points = {error.points}")
        lines += [f"{name} = {_number(getattr(error, name))}" for name in ("bias", "median", "p90", "unseen")]
        lines.append(f"chips = [{', '.join(repr(c).replace(chr(39), chr(34)) for c in error.chips)}]")
        if one.engines:
            lines.append("engines = { " + ", ".join(f"{name} = {v:g}" for name, v in one.engines.items()) + " }")
        lines.append("")
    return "\n".join(lines)


def _number(value: float) -> str:
    text = f"{value:g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit kernel constants to measured kernel times.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder that holds ops/")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    entries = fit_all(given.data, say=print)
    given.out.write_text(written(entries), encoding="utf-8")
    print(f"{len(entries)} entries written to {given.out}")


if __name__ == "__main__":
    main()
