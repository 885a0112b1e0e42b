"""`plan` in one mode or in either: words, answers, faces, launch commands."""

from __future__ import annotations

import json
import math

import pytest
from plans import plan

import rackmath
from rackmath.errors import BadInput
from rackmath.faces.cli import run
from rackmath.layout.footprint import footprint
from rackmath.layout.parallelism import Layout
from rackmath.questions.machines import machines_of
from rackmath.questions.resolve import question
from rackmath.search.choice import plan_cost
from rackmath.search.disaggregated import pools_cost
from rackmath.search.either import PlanAnswer
from rackmath.search.launch import command, engines, launched
from rackmath.search.serving_modes import kept, merged
from rackmath.world import catalog
from rackmath.world.workload import Traffic

LLAMA = "meta-llama/Llama-3.1-70B"
ARGUMENTS = ["plan", LLAMA, "--on", "8xh200", "--max-tpot", "30ms", "--max-ttft", "2s"]


@pytest.fixture(scope="module")
def both():
    return plan(LLAMA, "8xh200", mode="any", max_tpot="30ms", max_ttft="2s")


def test_the_cheaper_mode_wins(both):
    one, two = plan_cost(both.aggregated.best), pools_cost(both.pools.best)
    assert both.winner == ("disaggregated" if two < one * 0.995 else "aggregated")
    assert pools_cost(both.pools.best) == pytest.approx(float(both.pools.best.cost.request))
    apart = abs(two / one - 1)
    assert f"{apart:.0%} {'dearer' if two > one else 'cheaper'}" in both.why


def test_one_front_of_both_modes(both):
    assert {p.mode for p in both.points} == {"aggregated", "disaggregated"}
    speeds = [p.interactivity for p in both.front]
    prices = [p.blended_mtok for p in both.front]
    assert speeds == sorted(speeds, reverse=True)
    assert prices == sorted(prices, reverse=True)
    for p in both.front:  # nobody beats a point of the front in both
        assert not any(o.interactivity > p.interactivity and o.blended_mtok < p.blended_mtok for o in both.points)
    assert all(p.ttft <= 2.0 for p in both.front)


def test_merging_keeps_what_nobody_beats(both):
    one = both.front[0]
    assert merged((one, one)) == (one,)
    assert kept(both.front, 1e-9) == both.front  # where none keeps the limit, all are shown


def test_aggregated_is_what_it_was():
    assert isinstance(plan(LLAMA, "8xh200", max_tpot="30ms"), PlanAnswer)


def test_where_one_pool_cannot_two_can():
    answer = plan(LLAMA, "8xh200", mode="any", isl="100k", osl=500, max_ttft="6s", min_interactivity=20)
    assert answer.winner == "disaggregated"
    assert answer.aggregated.best is None
    assert answer.why.startswith("one pool cannot meet the limits: TTFT")
    assert {p.mode for p in answer.front} == {"disaggregated"}


def test_where_neither_can(capsys):
    assert run([*ARGUMENTS[:4], "--mode", "any", "--max-tpot", "10us"]) == 1
    said = capsys.readouterr().out
    assert said.count("No plan:") >= 2
    assert "Nearest plan in two pools" in said


def test_a_fleet_of_each_pool():
    answer = plan(LLAMA, "8xh200", mode="disaggregated", max_tpot="30ms", max_ttft="2s", rate="30/s", spare=1)
    s = answer.pools.best.serving
    for f, rate in zip(answer.fleets, (s.prefill.rate, s.decode.rate), strict=True):
        assert float(f.replicas) == math.ceil(30 / float(rate)) + 1


def test_domains_cut():
    whole, cut = (plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", min_interactivity=40, max_domain=most) for most in (None, 8))
    assert float(cut.best.machine.domain) == 8
    assert any("as if they had 8 devices, not 72" in note for note in cut.notes)
    assert float(cut.best.layout.tp) <= 8
    assert float(cut.best.cost.blended_mtok) != float(whole.best.cost.blended_mtok)
    kept = plan(LLAMA, "8xh200", max_tpot="30ms", max_domain=72)
    assert float(kept.best.machine.domain) == 8  # a limit never widens a domain


def test_machines_is_another_word_for_on(capsys):
    assert run(["plan", LLAMA, "--machines", "8xh200,8xh100", "--max-tpot", "30ms", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["machines"]
    assert {r["machine"] for r in rows} == {"8xh200", "8xh100"}


def test_adapters_make_tokens_dearer():
    plain, many = (plan(LLAMA, "8xh200", max_tpot="30ms", lora=x) for x in (None, "rank=64,adapters=64"))
    assert float(many.best.cost.blended_mtok) > float(plain.best.cost.blended_mtok)
    assert many.best.question.model.lora.adapters == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mode", "disagregated"], "did you mean disaggregated"),
        (["--prefill-on", "8xh100"], "without --mode disaggregated or any"),
        (["--max-domain", "0"], "max_domain = 0 is out of range"),
        (["--max-domain", "2.5"], "whole number"),
        (["--lora", "rank=16"], "lacks adapters"),
        (["--mode", "any", "--prefill-on", "8xh1000"], "8xh1000"),
        (["--mode", "any", "--isl", "500k"], "more than the"),
    ],
)
def test_bad_words(words, said, capsys):
    assert run([*ARGUMENTS, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("mode", ["disaggregated", "any"])
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--explain"], ["--explain", "--json"], ["--launch"]])
def test_every_face(mode, form, capsys):
    assert run([*ARGUMENTS, "--mode", mode, *form]) == 0
    out = capsys.readouterr().out
    assert "nan" not in out.lower().split()
    if "--json" in form:
        json.loads(out, parse_constant=lambda _: pytest.fail("not strict JSON"))


def test_json_names_the_mode(capsys):
    assert run([*ARGUMENTS, "--mode", "any", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["best"]["mode"] == answer["winner"]
    assert {p["mode"] for p in answer["front"]} <= {"aggregated", "disaggregated"}
    pools = answer["disaggregated"]
    assert pools["gpus"] == sum(pools[k]["replicas"] * pools[k]["layout"]["gpus"] for k in ("prefill", "decode"))


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_charts(tmp_path, ending, capsys):
    pytest.importorskip("vl_convert") if ending == "svg" else None
    path = tmp_path / f"front.{ending}"
    assert run([*ARGUMENTS, "--mode", "any", "-o", str(path)]) == 0
    assert path.stat().st_size > 1000


def test_bytes_and_flops_of_an_adapter(capsys):
    words = ["rank=16,adapters=64", "rank=32,adapters=8,on=attention"]
    # 80 layers: q and o of 8,192 x 8,192, k and v of 8,192 x 1,024, three matrices of 8,192 x 28,672
    sums = [2 * 16384 + 2 * 9216 + 3 * 36864, 2 * 16384 + 2 * 9216]
    for lora, rank, both_sides in zip(words, (16, 32), sums, strict=True):
        for asked in (ARGUMENTS, ["forward", LLAMA, "--on", "8xh200"]):
            assert run([*asked, "--lora", lora, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)["lora"]
            assert found["bytes_per_adapter"] == 2 * 80 * rank * both_sides
            assert found["flops_per_token"] == 2 * 80 * rank * both_sides
    for asked in (ARGUMENTS, ["forward", LLAMA, "--on", "8xh200"]):
        assert run([*asked, "--lora", words[0]]) == 0
        assert "64 adapters of rank 16: 414 MB each" in capsys.readouterr().out
    assert run([*ARGUMENTS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lora"] is None


# --- launch ---------------------------------------------------------------------------------------------------------


def _commands(layout, batch=1024.0, **changes):
    q, _ = question("deepseek-ai/DeepSeek-V3", "gb200-nvl72", traffic=Traffic(isl=8192.0, osl=1024.0))
    return {name: command(name, q, q.precisions[0], layout, batch, **changes) for name in engines()}


def test_every_template_fills_in():
    for layout in (Layout(), Layout(tp=8.0), Layout(dp=8.0, ep=8.0), Layout(tp=2.0, dp=4.0, ep=4.0, pp=2.0), Layout(tp=2.0, cp=4.0)):
        for pool in ("", "prefill", "decode"):
            for one in _commands(layout, pool=pool).values():
                assert "{" not in one.text.replace("'{", "").replace('{"', "")
                assert one.version
                assert one.checked


def test_wide_expert_parallelism_in_every_engine():
    found = _commands(Layout(dp=64.0, ep=64.0))
    assert "--data-parallel-size 64 --enable-expert-parallel" in found["vllm"].text
    assert "--max-num-seqs 16" in found["vllm"].text  # of each rank
    assert "--tp-size 64 --dp-size 64 --enable-dp-attention --ep-size 64" in found["sglang"].text
    assert "--max-running-requests 1024" in found["sglang"].text  # of all ranks
    assert "--tp_size 64 --ep_size 64" in found["trtllm"].text
    assert "enable_attention_dp: true" in found["trtllm"].file


def test_more_devices_than_a_node_start_on_every_node():
    wide = _commands(Layout(dp=64.0, ep=64.0))  # trays of 4
    assert "--data-parallel-size-local 4 --data-parallel-address $HEAD_IP" in wide["vllm"].text
    assert "--headless" not in wide["vllm"].text
    assert "--headless --data-parallel-start-rank $((NODE_RANK * 4))" in wide["vllm"].text_others
    assert "--nnodes 16 --node-rank 0 --dist-init-addr" in wide["sglang"].text
    assert "--nnodes 16 --node-rank $NODE_RANK" in wide["sglang"].text_others
    assert wide["trtllm"].text.startswith("mpirun -n 64 --hostfile HOSTS trtllm-llmapi-launch trtllm-serve")
    assert {c.nodes for c in wide.values()} == {16}
    cut = _commands(Layout(tp=8.0))
    assert "--nnodes 2 --node-rank 0 --master-addr $HEAD_IP" in cut["vllm"].text
    assert cut["vllm"].text_others.endswith("--headless")
    assert "--data-parallel-backend ray" in _commands(Layout(tp=8.0, dp=2.0, ep=16.0))["vllm"].text
    for one in _commands(Layout(tp=4.0)).values():
        assert one.nodes == 1
        assert not one.others
        for word in ("nnodes", "mpirun", "headless", "size-local"):
            assert word not in one.text


def test_the_cache_gets_the_room_the_plan_counts_on():
    q, _ = question(LLAMA, "8xh200", traffic=Traffic(isl=8192.0, osl=1024.0))
    one = command("trtllm", q, q.precisions[0], Layout(tp=4.0), 8.0)
    given = float(one.text.split("--kv_cache_free_gpu_memory_fraction ")[1].split()[0])
    held = footprint(q.model, q.machine, q.precisions[0], Layout(tp=4.0), q.engine, 8192.0)
    room = float(held.capacity - held.weights - held.reserved)
    assert given * float(held.capacity - held.weights) == pytest.approx(room, rel=0.01)
    assert given < q.engine.memory_share


def test_a_rate_says_how_many_to_start(capsys):
    assert run([*ARGUMENTS, "--rate", "200/s", "--launch", "--json"]) == 0
    fleet = json.loads(capsys.readouterr().out)["commands"]
    assert run([*ARGUMENTS, "--rate", "200/s", "--json"]) == 0
    asked = json.loads(capsys.readouterr().out)["fleet"]
    assert [c["replicas"] for c in fleet] == [asked["replicas"]] * 3
    assert asked["replicas"] > 1


def test_what_an_engine_cannot_express_is_said():
    found = _commands(Layout(tp=2.0, dp=4.0, ep=4.0))
    assert "expert groups of 4 out of 8 devices" in found["vllm"].cannot[0]
    assert "TP2 inside DP4" in found["trtllm"].cannot[0]
    assert not found["sglang"].cannot


def test_pools_are_started_apart(both):
    answer = plan(LLAMA, "8xh200", mode="disaggregated", max_tpot="30ms", max_ttft="2s")
    found = launched(answer)
    assert [c.pool for c in found.commands] == ["prefill", "decode"] * 3
    assert "kv_producer" in found.commands[0].text
    assert "kv_consumer" in found.commands[1].text
    assert found.commands[0].replicas == float(answer.pools.best.serving.n_prefill)
    told = rackmath.plan(LLAMA, on="8xh200", mode="disaggregated", max_tpot="30ms", max_ttft="2s", launch=True)
    assert told.commands[0]["engine"] == "vLLM"


def test_no_plan_no_commands(capsys):
    assert run([*ARGUMENTS[:4], "--max-tpot", "10us", "--launch"]) == 1
    assert "No plan" in capsys.readouterr().out


def test_machines_of_words():
    with pytest.raises(BadInput, match="no machine"):
        machines_of([], None)
    assert machines_of(["8xh100"], None) == ["8xh100"]
    assert machines_of([catalog.machine("8xh100")], 4.0)[0].domain == 4


def test_a_plan_can_decode_speculatively():
    """Drafts of DeepSeek-V3's own layer, 85 % kept: never dearer than without where decode waits for memory."""
    limits = {"isl": 1000, "osl": 1000, "min_interactivity": 100}
    plain = plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", **limits).best
    drafted = plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", draft="mtp", acceptance=0.85, **limits)
    best = drafted.best
    assert float(best.cost.request) < float(plain.cost.request)
    assert float(best.serving.tpot) * 1.85 == pytest.approx(float(best.batch / best.serving.request_rate) * 1.85 / 999)
    assert any("1.85 tokens kept" in note for note in drafted.notes)
    assert best.serving.tpot_bound <= best.serving.tpot
    with pytest.raises(BadInput, match="one pool"):
        plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", mode="any", draft="mtp")
    with pytest.raises(BadInput, match="acceptance"):
        plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", draft="mtp", acceptance=1.5)
