"""Intervals beside estimates: ordered, in units of the estimate, never beyond a bound, wider where less is known."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from plans import plan

import rackmath
from rackmath.errors import BadInput
from rackmath.faces import cli
from rackmath.kernel.uncertainty import NOT_CALIBRATED
from rackmath.questions.resolve import question
from rackmath.search import trust as trusted
from rackmath.views import plans, pools, setting
from rackmath.world.workload import Traffic

V3, LLAMA, SMALL = "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B", "meta-llama/Llama-3.1-8B"


def width(span: Any) -> float:
    return math.log(span[1] / span[0])


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert cli.run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("engine", [None, "vllm 0.15.1", "sglang"])
@pytest.mark.parametrize("machine", ["8xh200", "gb200-nvl72", "8xmi300x", "8xgaudi3"])
@pytest.mark.parametrize("model", [SMALL, LLAMA, V3])
def test_no_interval_of_a_plan_is_beyond_its_bound(model: str, machine: str, engine: str | None) -> None:
    found = plan(model, machine, max_tpot="60ms", engine=engine)
    p = found.best or found.answer.nearest
    spans, bound = plans.spans(p), plans.chosen(p)["bound"]
    for name in ("tpot", "ttft"):
        low, high = spans[name]  # type: ignore[misc]
        assert float(bound[name]) * (1 - 1e-12) <= low < high
    for name in ("interactivity", "tput_per_gpu", "output_tput_per_gpu", "input_tput_per_gpu"):
        low, high = spans[name]  # type: ignore[misc]
        assert 0 < low < high <= float(bound[name]) * (1 + 1e-12)
    assert spans["interactivity"] == pytest.approx((1 / spans["tpot"][1], 1 / spans["tpot"][0]))  # type: ignore[index]
    tpot = p.intervals.tpot
    if setting.known_price(p.machine) is not None:
        low, high = spans["blended_mtok"]  # type: ignore[misc]
        assert float(p.cost.blended_mtok) * float(p.cost.bound_share) * (1 - 1e-12) <= low < high
        assert spans["output_mtok"] == pytest.approx([float(p.cost.output_mtok) * f for f in (tpot.low, tpot.high)])
    assert float(p.serving.tpot) * tpot.high == pytest.approx(spans["tpot"][1])  # type: ignore[index]
    assert p.intervals.reason not in ("", NOT_CALIBRATED.reason)


def test_less_is_known_of_what_nobody_measured() -> None:
    seen, new, drafted = (
        plan(V3, on, max_tpot="60ms", engine="sglang", **more).best.intervals.tpot
        for on, more in (("8xh200", {}), ("8xmi455x", {}), ("8xh200", {"draft": "mtp"}))
    )
    assert new.high / new.low > seen.high / seen.low
    assert drafted.high / drafted.low > seen.high / seen.low
    assert "drafts" in drafted.reason
    assert "MI455X" in new.reason


def test_two_pools_are_less_sure_than_one_and_say_why() -> None:
    answer = plan(LLAMA, "8xh200", mode="any", max_tpot="30ms", max_ttft="2s")
    one, two = answer.aggregated.best, answer.pools.best
    assert two is not None
    assert width((two.intervals.tpot.low, two.intervals.tpot.high)) >= width((one.intervals.tpot.low, one.intervals.tpot.high))
    assert "of two pools" in two.intervals.tpot.reason
    assert "of two pools" in two.intervals.ttft.reason
    spans, s = pools.spans(two), two.serving
    assert float(s.ttft_bound) <= spans["ttft"][0] < spans["ttft"][1]  # type: ignore[index]
    assert float(s.decode.tpot_bound) <= spans["tpot"][0] < spans["tpot"][1]  # type: ignore[index]
    most = float(s.request_rate_bound) / float(s.request_rate)
    assert spans["tput_per_gpu"][1] <= float(s.tput_per_gpu) * most * (1 + 1e-12)  # type: ignore[index]
    assert spans["blended_mtok"][0] >= float(two.cost.blended_mtok) * float(two.cost.bound_share) * (1 - 1e-12)  # type: ignore[index]


def test_each_pool_is_as_sure_as_its_machine() -> None:
    same = plan(LLAMA, "8xh200", mode="disaggregated", max_tpot="60ms", max_ttft="5s").pools.best
    other = plan(LLAMA, "8xh200", prefill_on="8xmi455x", mode="disaggregated", max_tpot="60ms", max_ttft="5s").pools.best
    assert other.intervals.tpot == same.intervals.tpot
    assert width((other.intervals.ttft.low, other.intervals.ttft.high)) >= width((same.intervals.ttft.low, same.intervals.ttft.high))


def test_the_units_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    best = said(capsys, "plan", V3, "--on", "8xh200", "--max-tpot", "60ms")["best"]
    for name in ("tpot", "ttft", "tput_per_gpu", "interactivity"):
        low, high = best["interval"][name]
        assert 0.01 < low / best["estimate"][name] < high / best["estimate"][name] < 100
    assert best["interval"]["reason"]
    assert len(best["interval"]["blended_mtok"]) == 2
    assert best["interval"]["cache_read_mtok"] is None
    step = said(capsys, "forward", V3, "--on", "8xh200")
    low, high = step["interval"]["estimate"]
    assert step["time"]["bound"] <= low < step["time"]["estimate"] < high
    alone = said(capsys, "forward", V3, "--on", "8xh200", "--batch", "0", "--prefill", "4000")
    assert alone["interval"]["reason"]
    curve = said(capsys, "batch", V3, "--on", "8xh200")
    for row in curve["curve"]:
        assert row["tpot_bound"] <= row["tpot_low"] < row["tpot_high"]
        assert row["output_mtok_bound"] <= row["output_mtok_low"] < row["output_mtok_high"]


def test_without_an_interval_the_reason_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "serving_interval", lambda *a, **k: NOT_CALIBRATED)
    for words in (["plan", SMALL], ["forward", SMALL], ["batch", SMALL], ["plan", SMALL, "--mode", "disaggregated"]):
        assert cli.run([*words, "--on", "8xh100"]) == 0
        assert NOT_CALIBRATED.reason in " ".join(capsys.readouterr().out.split())
    assert said(capsys, "plan", SMALL, "--on", "8xh100")["best"]["interval"]["tpot"] is None
    assert said(capsys, "batch", SMALL, "--on", "8xh100")["curve"][0]["tpot_low"] is None


def test_with_one_nothing_is_said_to_be_uncalibrated(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["plan", LLAMA], ["forward", LLAMA], ["batch", LLAMA], ["plan", LLAMA, "--mode", "any"]):
        assert cli.run([*words, "--on", "8xh200"]) == 0
        screen = capsys.readouterr().out
        assert "5 to 95 %" in screen
        assert NOT_CALIBRATED.reason not in screen


# --- the engine -----------------------------------------------------------------------------------------------------

VERBS = [
    ("plan", SMALL),
    ("forward", SMALL),
    ("batch", SMALL),
    ("timeline", SMALL),
    ("modes", SMALL),
    ("cadence", SMALL),
    ("context", SMALL),
    ("memory", SMALL),
    ("pipeline", SMALL),
    ("racks", V3),
    ("tiers", SMALL),
    ("speculate", SMALL, "--draft", "ngram"),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v[0])
def test_an_engine_can_be_named_wherever_a_model_is_served(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*verb, "--on", "8xh200"]
    assert cli.run([*words, "--engine", "sglang 0.5.6"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert cli.run([*words, "--engine", "vlmm"]) == 2
    assert "unknown engine 'vlmm'; did you mean vllm?" in capsys.readouterr().err


def test_engines_and_their_versions_differ(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("forward", LLAMA, "--on", "8xb200", "--batch", "16")
    times = {e: said(capsys, *words, "--engine", e)["time"] for e in ("typical", "vllm", "sglang", "vllm 0.10.0")}
    assert len({t["estimate"] for t in times.values()}) == 4
    assert len({t["bound"] for t in times.values()}) == 1
    named = said(capsys, *words, "--engine", "vllm 0.15.1")["question"]["engine"]
    assert named == "vllm 0.15.1"
    assert cli.run([*words, "--engine", "vllm 0.15.1"]) == 0
    assert "under vLLM 0.15.1" in " ".join(capsys.readouterr().out.split())
    unknown = said(capsys, *words, "--engine", "vllm 99.1")
    assert any("vLLM 99.1 is of unknown age" in n for n in unknown["notes"])
    assert unknown["time"] == times["vllm"]


def test_a_share_of_a_kind_is_set_for_all_operand_types() -> None:
    def efficiency(**sets: Any) -> Any:
        named = {f"efficiency.{k.replace('__', '.')}": v for k, v in sets.items()}
        return rackmath.forward(LLAMA, on="8xh200", sets=named).subject.question.efficiency

    plain, kind, one = efficiency(), efficiency(memory_share__gemm=0.31), efficiency(memory_share__gemm__fp8=0.31)
    for type_ in ("bf16", "fp8", "fp8_block", "nvfp4"):
        assert kind.kernel("gemm", type_).memory_share == 0.31
        assert one.kernel("gemm", type_).memory_share == (0.31 if type_ == "fp8" else plain.kernel("gemm", type_).memory_share)
    assert kind.kernel("experts").memory_share == plain.kernel("experts").memory_share
    slower = rackmath.forward(LLAMA, on="8xh200", sets={"efficiency.memory_share.gemm": 0.31}).subject
    assert float(slower.time.estimate) > float(rackmath.forward(LLAMA, on="8xh200").subject.time.estimate)
    with pytest.raises(ValueError, match="did you mean gemm"):
        efficiency(memory_share__gem=0.3)
    with pytest.raises(ValueError, match="from 1e-06 to 1"):
        efficiency(memory_share__gemm=1.3)


def test_a_share_of_a_kind_is_set_where_shares_are_documented_too() -> None:
    """Tables of documented shares name the kind and the kind with its type: both are meant."""
    traffic = Traffic(isl=1024, osl=128)
    q, _ = question("meta-llama/Llama-3.1-70B", "tpu7x", traffic=traffic, sets={"efficiency.compute_share.gemm": 0.1})
    assert {v for k, v in q.efficiency.compute_share.items() if k.partition(".")[0] == "gemm"} == {0.1}
    assert q.efficiency.kernel("gemm").compute_share == 0.1


def test_no_more_than_all_tokens_choose_experts_as_if_independently() -> None:
    with pytest.raises(BadInput, match=r"efficiency.spread = 1.5 is out of range; give a number from 0 to 1"):
        question("gpt-oss-120b", "8xh200", traffic=Traffic(isl=1, osl=1), sets={"efficiency.spread": 1.5})
