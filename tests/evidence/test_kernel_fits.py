"""Truths about achieved kernel times: bounds, monotony, columns, chips nobody measured, and the errors on record."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import calibration.kernels as fits
from calibration.kernel_rows import default_data
from rackmath.kernel import achieved
from rackmath.kernel.achieved import KINDS, Achieved, Kernel, kernels
from rackmath.world import catalog

ROWS = 64
RNG = np.random.default_rng(7)
DATA = default_data()
needs_data = pytest.mark.skipif(
    not (DATA / "ops").is_dir(), reason=f"needs the measured kernel times in {DATA / 'ops'} (set RACKMATH_DATA)"
)


def column(low: float, high: float) -> np.ndarray:
    return np.exp(RNG.uniform(math.log(low), math.log(high), ROWS))


WORK = {"compute": column(1e-8, 1e-2), "bytes": column(1e4, 1e10), "bandwidth": column(1e11, 1e13)}
FEATURES: dict[str, dict[str, np.ndarray]] = {
    "gemm": {"outputs": column(128, 1e9)},
    "experts": {"rows": column(1, 1e5), "touched": column(1, 256), "row_bytes": column(1e4, 1e9), "token_bytes": column(1e4, 1e9)},
    "attention_decode": {"sequences": column(1, 1e3), "entry_bytes": column(128, 1e4), "group": column(1, 32)},
    "attention_prefill": {
        "pair_flops": column(256, 1024),
        "queries": column(1, 1e4),
        "keys": column(1, 1e5),
        "heads": column(1, 128),
        "prompts": column(1, 64),
    },
    "scan_prefill": {"longest": column(1, 1e5)},
}
FEATURES |= {"mla_decode": FEATURES["attention_decode"], "mla_prefill": FEATURES["attention_prefill"]}
MESSAGE = {"size": column(1e2, 1e9), "devices": RNG.choice([2.0, 4.0, 8.0], ROWS), "rate": column(1e10, 1e12)}


def arguments(kind: str) -> dict[str, np.ndarray]:
    if kind in ("all_reduce", "all_to_all"):
        return MESSAGE
    if kind == "elementwise":
        return {name: WORK[name] for name in ("bytes", "bandwidth")}
    return WORK | FEATURES.get(kind, {})


def function(kind: str) -> Callable[..., Achieved]:
    return fits.SPECS[kind][0]


ENTRIES = sorted(kernels().constants)


@pytest.mark.parametrize("entry", ENTRIES, ids=".".join)
def test_no_kernel_beats_its_roofline(entry: tuple[str, str, str]) -> None:
    kind, k = entry[0], kernels().constants[entry]
    used = arguments(kind)
    seconds = np.asarray(function(kind)(k, **used).seconds)
    assert np.isfinite(seconds).all()
    if "rate" in used:
        wire = 2 * (used["devices"] - 1) / used["devices"] if kind == "all_reduce" else 1.0
        assert (seconds > wire * used["size"] / used["rate"]).all()
    else:
        assert (seconds > np.maximum(used.get("compute", 0.0), used["bytes"] / used["bandwidth"])).all()


@pytest.mark.parametrize("entry", ENTRIES, ids=".".join)
def test_more_work_takes_longer_and_a_faster_chip_less(entry: tuple[str, str, str]) -> None:
    kind, k = entry[0], kernels().constants[entry]
    used = arguments(kind)
    base = np.asarray(function(kind)(k, **used).seconds)
    for name in {"compute", "bytes", "size", "sequences", "row_bytes", "token_bytes", "longest"} & set(used):
        more = np.asarray(function(kind)(k, **(used | {name: 2 * used[name]})).seconds)
        assert (more >= base).all(), name
    for name in {"bandwidth", "rate"} & set(used):
        assert (np.asarray(function(kind)(k, **(used | {name: 2 * used[name]})).seconds) < base).all(), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_scalar_equals_its_row_of_the_column(kind: str) -> None:
    used = arguments(kind)
    k = kernels().of(kind, "custom" if kind == "all_reduce" else "nvlink" if kind == "all_to_all" else "bf16")
    rows = np.broadcast_to(np.asarray(function(kind)(k, **used).seconds), ROWS)
    for i in range(0, ROWS, 7):
        one = {name: float(values[i]) for name, values in used.items()}
        assert float(function(kind)(k, **one).seconds) == pytest.approx(rows[i], rel=1e-12)


@given(
    tokens=st.floats(1, 65536),
    d_in=st.floats(128, 65536),
    d_out=st.floats(128, 65536),
    chip=st.sampled_from(["mi300x", "tpu-v5p", "rubin", "l4"]),
)
def test_a_chip_nobody_measured_gets_a_sane_answer(tokens: float, d_in: float, d_out: float, chip: str) -> None:
    machine = catalog.machine(chip)
    known = kernels()
    k = known.of("gemm", "bf16", machine.generation)
    assert k == known.of("gemm", "bf16", "default")
    compute = 2 * tokens * d_in * d_out / float(machine.peak("bf16"))
    size = 2 * (d_in * d_out + tokens * (d_in + d_out))
    time = achieved.gemm(k, compute=compute, bytes=size, bandwidth=float(machine.hbm_bandwidth), outputs=tokens * d_out)
    roof = max(compute, size / float(machine.hbm_bandwidth))
    # a product that fills the chip reaches half of its roofline; the smallest takes microseconds
    assert roof < float(time.seconds) < 1e-5 + 2 * roof + 2 * compute * 1e6 / (tokens * d_out)


def test_every_kind_answers_for_every_type_and_generation() -> None:
    known = kernels()
    for kind in KINDS:
        types = {t for k, t, _ in known.constants if k == kind}
        for type_ in types:
            for generation in ("ampere", "hopper", "blackwell", "cdna3", "default"):
                k = known.of(kind, type_, generation)
                assert 0 < k.memory_share <= 1
                assert 0 < k.compute_share <= 1
                assert 0 < k.latency < 1e-3
    with pytest.raises(KeyError, match="no constants of kind 'nothing'"):
        known.of("nothing")


def test_a_type_without_constants_takes_the_nearest() -> None:
    known = kernels()
    assert known.of("gemm", "mxfp8", "hopper") == known.of("gemm", "fp8_block", "hopper")
    assert known.of("experts", "nvfp4", "hopper") == known.of("experts", "nvfp4", "default")
    assert known.of("scan", "nvfp4", "blackwell") == known.of("scan", "bf16", "blackwell")


def test_ideal_constants_give_the_peak() -> None:
    time = achieved.gemm(Kernel(), compute=3.0, bytes=4e12, bandwidth=1e12, outputs=1.0)
    assert float(time.seconds) == 5.0


def test_one_device_exchanges_nothing() -> None:
    k = kernels().of("all_to_all", "nvlink", "blackwell")
    assert float(achieved.all_to_all(k, size=1e9, devices=1.0, rate=9e11).seconds) == 0.0


@needs_data
@pytest.mark.parametrize("kind", ["gemm", "experts", "all_reduce"])
def test_the_errors_on_record_are_those_of_the_data(kind: str) -> None:
    known = kernels()
    for (_, type_), sample in fits.samples(DATA, kind).items():
        eras: Any = np.unique(sample.generation)
        for era in (*eras, "default"):
            part = sample if era == "default" else sample.take(sample.generation == era)
            error = fits.errors(kind, known.of(kind, type_, era), part)
            recorded = known.error(kind, type_, era)
            assert recorded.points == len(error)
            assert recorded.bias == pytest.approx(np.median(error), abs=2e-3)
            assert recorded.median == pytest.approx(np.median(np.abs(error)), abs=2e-3)
            assert recorded.p90 == pytest.approx(np.percentile(np.abs(error), 90), abs=5e-3)


@needs_data
def test_a_fit_repeats_itself() -> None:
    sample = fits.samples(DATA, "all_reduce")["all_reduce", "nccl"]
    part = sample.take(sample.generation == "hopper")
    fitted, packaged = fits.fit("all_reduce", part), kernels().of("all_reduce", "nccl", "hopper")
    for name in fits.SPECS["all_reduce"][1]:
        assert getattr(fitted, name) == pytest.approx(getattr(packaged, name), rel=0.02)
