"""The fit of what engines cost: it times passes as every answer does, and what it wrote keeps to what it may be."""

from __future__ import annotations

import numpy as np
import pytest
from hfdata import DATA

from calibration.engine_fit import Fit
from calibration.engines import FILES, covered_by_others, quantiles
from calibration.runs import guessed, runs
from rackmath import shipped
from rackmath.evidence import rows as reader
from rackmath.evidence.predict import predict
from rackmath.kernel.efficiency import bare, calibrated, default_efficiency
from rackmath.kernel.uncertainty import Interval, kind_interval, serving_interval
from rackmath.world import catalog
from rackmath.world.engine import TYPICAL, Engine, released, tuned
from rackmath.world.engine_names import engine, tuning

SERVING = DATA / "serving"
needs = pytest.mark.skipif(not SERVING.is_dir(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")


@needs
def test_the_fit_times_passes_as_every_answer_does() -> None:
    """Under the constants of tuning.toml the flattened sums give what `predict` gives, row by row."""
    some = [r for name in FILES for r in reader.read(SERVING / name) if r.prefill is None and r.speculation != "mtp"]
    of = runs(some[::37])
    assert len(of) > 40
    fit, raw = Fit(of), tuned()
    x = np.array([_value(raw, c.name) for c in fit.constants])
    assert not fit.of.tpot[np.isnan(fit.of.tpot)].size
    said = predict(of.rows)
    ours = np.array([p.tpot if p.row.file == "silicon" else p.tpot_median for p in said], dtype=float)
    looped = fit.looped(np.log(x))[0]
    assert np.median(np.abs(looped / ours - 1)) < 2e-3  # the file keeps four digits
    assert np.max(np.abs(looped / ours - 1)) < 0.05  # and a step more or less ends a wave elsewhere


def _value(raw: dict, name: str) -> float:
    """A constant as the file has it; what the file leaves out is 1."""
    for word in name.split("."):
        raw = raw.get(word, 1.0) if isinstance(raw, dict) else 1.0
    return float(raw)  # type: ignore[arg-type]


@needs
def test_no_row_and_no_model_has_a_constant_of_its_own() -> None:
    of = runs(reader.read(SERVING / FILES[0])[::60])
    names = {c.name for c in Fit(of).constants}
    assert not any(model in name for name in names for model in of.model)
    assert all(name.split(".")[0] in ("pooled", "engine", "generation") for name in names)


def test_rows_whose_layout_is_read_into_them_are_not_fitted() -> None:
    plain = {
        "backend": "trtllm",
        "model_path": "Qwen/Qwen3-32B",
        "system": "gb200",
        "mode": "agg",
        "tp_size": "2",
        "isl": "2000",
        "osl": "500",
        "silicon_tpot_ms": "9",
        "silicon_data_source": "aic gap analysis",
    }
    stated = reader.silicon({**plain, "silicon_concurrency": "8", "batch_size": "8"})
    shared = reader.silicon({**plain, "silicon_concurrency": "32", "batch_size": "8"})
    assert not guessed(stated)
    assert guessed(shared)


def test_constants_are_near_what_kernels_alone_would_say() -> None:
    """Generations whose kernels were measured keep within 5 % of them, and no factor leaves its sense."""
    raw = tuned()
    for era in ("hopper", "blackwell"):
        assert all(0.95 < raw["generation"][era][k] < 1.05 for k in ("compute", "memory", "latency", "launch"))
    for table in ("compute", "memory"):
        assert all(0.9 < v < 1.1 for v in raw["pooled"][table].values())
    assert all(0.2 < v < 1 for v in raw["pooled"]["latency"].values())  # graphs hide a part of a launch, not all
    assert 1 <= raw["pooled"]["imbalance"] < 2


def test_an_engine_or_generation_nobody_measured_takes_pooled_values() -> None:
    assert tuning("", "hopper").step == tuning("no-such-engine", "hopper").step == tuned()["pooled"]["step"]
    assert tuning("vllm", "nobody").compute == tuning("vllm", "").compute
    assert default_efficiency() == calibrated("")
    assert calibrated("tpu-v7").generation is None  # another kind of device: documented shares
    assert calibrated("blackwell-ultra").memory_share == calibrated("blackwell").memory_share


def test_older_software_is_slower_where_kernels_were_young() -> None:
    old, new = (calibrated("cdna4", engine(f"sglang {v}")) for v in ("0.5.5", "0.5.9"))
    assert old.kernel("gemm").memory_share < new.kernel("gemm").memory_share
    assert released("sglang", "0.5.9") > released("sglang", "0.5.5")  # type: ignore[operator]
    assert released("sglang", "0.5.10") is None  # not 0.5.1


def test_a_compiled_graph_has_no_server_around_it() -> None:
    served, alone = calibrated("hopper", Engine(name="trtllm")), bare("hopper")
    assert alone.step_overhead < served.step_overhead
    assert alone.sequence_overhead == alone.host == 0


# --- intervals ----------------------------------------------------------------------------------------------------

LLAMA, KIMI = catalog.model("meta-llama/Llama-3.1-70B"), catalog.model("moonshotai/Kimi-K2.5")


def _width(*args, **more) -> float:
    found = serving_interval("tpot", *args, **more)
    return float(found.high) / float(found.low)  # type: ignore[arg-type]


def test_the_less_familiar_the_wider() -> None:
    vllm, h200 = Engine(name="vllm"), catalog.machine("8xh200")
    seen = _width(LLAMA, h200, vllm)
    assert seen < _width(LLAMA, catalog.machine("8xmi325x"), vllm)  # a new chip of a known generation
    assert _width(LLAMA, catalog.machine("8xmi325x"), vllm) < _width(LLAMA, catalog.machine("8xgaudi3"), vllm)
    assert seen < _width(KIMI, h200, vllm) < _width(KIMI, catalog.machine("8xmi325x"), vllm)
    assert seen < _width(LLAMA, h200, TYPICAL)
    assert seen < _width(LLAMA, h200, vllm, context=100_000.0)


def test_the_reason_names_what_is_new() -> None:
    found = serving_interval("tpot", KIMI, catalog.machine("8xgaudi3"), Engine(name="vllm"), devices=64.0)
    for words in ("Gaudi 3", "Kimi-K2.5", "generation", "devices beyond"):
        assert words in found.reason
    seen = serving_interval("tpot", LLAMA, catalog.machine("8xh200"), Engine(name="vllm"))
    assert seen.reason.startswith("runs of")


def test_intervals_of_rates_turn_over_and_times_keep_their_bound() -> None:
    one = Interval(low=0.8, high=1.25, reason="x")
    assert one.inverse == one
    assert one.around(10.0, least=9.0) == (9.0, 12.5)
    assert Interval().around(10.0) is None
    assert kind_interval("nothing-of-the-kind", "x", "y").low is None


def test_quantiles_hold_their_share_of_new_draws() -> None:
    """Split conformal: nine of ten new draws lie inside, on average over samples."""
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(300):
        low, high = quantiles(rng.lognormal(size=59))
        new = rng.lognormal(size=200)
        inside.append(np.mean((new >= low) & (new <= high)))
    assert 0.89 < np.mean(inside) < 0.93


def test_a_group_is_judged_by_the_others_alone() -> None:
    ratio = np.concatenate([np.linspace(0.9, 1.1, 50), np.full(10, 5.0)])
    inside = covered_by_others(ratio, ["a"] * 50 + ["b"] * 10)
    assert not inside[50:].any()
    assert not inside[:50].any()  # ten fives say nothing else


def test_recorded_intervals_are_sane() -> None:
    raw = shipped.read(shipped.FITTED / "serving_intervals.toml")
    for out in ("nothing", "cell", "system", "model", "engine"):
        for quantity in ("tpot", "ttft"):
            assert 0.05 < raw[out][quantity]["low"] < 1 < raw[out][quantity]["high"] < 20
