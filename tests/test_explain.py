"""Explanations: every value follows from the terms below it, and every input says where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from plans import plan

import rackmath
from rackmath.commands import machines, models
from rackmath.faces import cli
from rackmath.questions.settings import Quantity
from rackmath.search.either import PlanAnswer
from rackmath.views import plan_terms
from rackmath.views.machine_terms import Node, product, root, stated, total
from rackmath.world import catalog

MODELS = ("deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B", "openai/gpt-oss-120b", "google/gemma-3-27b-it")
MACHINES = ("gb200-nvl72", "8xh200", "8xmi300x")


def wrong(tree: Node) -> list[str]:
    """The terms whose value is not what their rule makes of the terms below."""
    return [f"{n.name} = {n.value} but {n.worked}" for n in tree.walk() if not n.follows()]


def sourceless(tree: Node) -> list[str]:
    """Inputs of the machine or the efficiency table without a source: quantities with a unit and nothing said."""
    return [n.name for n in tree.walk() if not n.children and n.unit in ("FLOP/s", "B/s", "$/h") and not n.source]


def node(tree: Node, name: str) -> Node:
    return next(n for n in tree.walk() if n.name == name)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("traffic", [{}, {"cached": 0.5, "max_tpot": "60ms"}], ids=["plain", "cached"])
def test_plan_terms_follow(model: str, machine: str, traffic: dict[str, Quantity]) -> None:
    answer = plan(model, machine, **traffic)
    tree = plan_terms.plan(answer)
    assert wrong(tree) == []
    assert sourceless(tree) == []
    best = answer.best
    assert node(tree, "TPOT").value == float(best.serving.tpot)
    assert node(tree, "TTFT, median").value == float(best.serving.ttft)
    assert node(tree, "concurrency").value == float(best.serving.concurrency)
    assert node(tree, "$ per M output tokens").value == float(best.cost.output_mtok)
    assert node(tree, "memory in use").value == float(best.serving.memory)
    assert node(tree, "price (on-demand)").value == float(best.machine.price_per_hour)


@pytest.mark.parametrize("prefill", [0, 4000])
@pytest.mark.parametrize("model", MODELS)
def test_forward_terms_follow(model: str, prefill: int) -> None:
    answer = rackmath.forward(model, on="8xb200", batch=512, prefill=prefill)
    tree = answer.explain()
    assert wrong(tree) == []
    assert sourceless(tree) == []
    assert node(tree, "estimate").value == answer.time.estimate
    assert node(tree, "bound").value == answer.time.bound


@pytest.mark.parametrize("context", [500, 8192])
@pytest.mark.parametrize("model", MODELS)
def test_batch_terms_follow(model: str, context: int) -> None:
    tree = rackmath.batch(model, on="gb200-nvl72", context=context).explain()
    assert wrong(tree) == []
    assert sourceless(tree) == []


def names(kind: str) -> Iterator[str]:
    """Every seventh entry: each family and vendor is among them."""
    found = catalog.models() if kind == "models" else catalog.machines()
    return (one.name for one in found[::7])


def test_model_terms_follow() -> None:
    for name in names("models"):
        tree = models.terms(catalog.model(name))
        assert wrong(tree) == [], name


def test_machine_terms_follow() -> None:
    for name in names("machines"):
        tree = machines.terms(catalog.machine(name))
        assert wrong(tree) == [], name
        assert sourceless(tree) == [], name


def test_a_machine_names_the_source_of_each_value() -> None:
    machine = catalog.machine("gb200-nvl72")
    tree = machines.terms(machine)
    assert machine.sources["hbm_bandwidth"].text in node(tree, "memory bandwidth").source
    assert "unverified" in node(tree, "memory bandwidth").source


def test_a_value_set_by_hand_has_its_hand_as_source() -> None:
    answer = plan("meta-llama/Llama-3.1-8B", "8xh100", sets={"machine.hbm_bandwidth": "8TB/s"})
    found = node(plan_terms.plan(answer), "memory bandwidth")
    assert found.value == 8e12
    assert found.source != node(plan_terms.plan(plan("meta-llama/Llama-3.1-8B", "8xh100")), "memory bandwidth").source


def test_a_wrong_value_is_found() -> None:
    two, three = Node(name="two", value=2.0), Node(name="three", value=3.0)
    assert product("six", "", two, three).follows()
    assert total("five", "", two, three).value == 5
    assert not stated("sum", "six", 6.0, "", two, three).follows()
    assert not stated("quotient", "ratio", 2.0, "", three, two).follows()
    assert not stated("max", "largest", 2.0, "", three, two).follows()
    assert stated("difference", "one", 1.0, "", three, two).follows()
    assert not stated("root of squares", "four", 4.0, "", three, two).follows()
    five = root(2, "five", "", three, Node(name="four", value=4.0), Node(name="beside"))
    assert (five.value, five.follows(), five.worked) == (5.0, True, "√(3² + 4²)")
    assert root(4, "both", "", two, two).value == pytest.approx(2 * 2**0.25)


def test_explain_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["plan", "deepseek-ai/DeepSeek-V3", "--on", "gb200-nvl72", "--min-interactivity", "20"]
    assert cli.run(["explain", *args]) == 0
    screen = capsys.readouterr().out
    for words in ("TPOT", "routed experts", "replica-hour", "Sources", "Little's law"):
        assert words in screen, words
    assert cli.run(["explain", *args, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert cli.run([*args, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    found = {child["name"]: child["value"] for child in tree["children"]}
    assert found["TPOT"] == best["estimate"]["tpot"]
    assert found["TTFT, median"] == best["estimate"]["ttft"]
    assert found["cost of a request"] == best["cost"]["request"]


def test_explain_of_what_does_not_fit_gives_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "plan", "deepseek-ai/DeepSeek-V3", "--on", "8xh100"]) == 1
    assert "does not fit" in " ".join(capsys.readouterr().out.split())


def test_a_fleet_is_explained() -> None:
    answer = plan("deepseek-ai/DeepSeek-V3", "8xh200", rate="30/s", utilisation="80%")
    tree, fleet = plan_terms.plan(answer), answer.fleet
    assert fleet is not None
    assert wrong(tree) == []
    for name, value in (
        ("devices paid for", fleet.billed),
        ("dollars a month", fleet.month_dollars),
        ("replicas", fleet.replicas),
        ("power at the facility", fleet.power),
        ("joules per token", fleet.joules_per_token),
        ("utilisation of all replicas", fleet.utilisation),
    ):
        last = [n for n in tree.walk() if n.name == name][-1]
        assert last.value == pytest.approx(float(value))
        assert last.formula


@pytest.mark.parametrize(("batch", "isl"), [(16, 2000), (64, 7000)])
def test_mixed_steps_and_waiting_are_formulas(batch: int, isl: int) -> None:
    from rackmath.layout.parallelism import Layout
    from rackmath.questions.resolve import question
    from rackmath.search.choice import evaluate_plan
    from rackmath.search.plan import Planned
    from rackmath.search.ranking import Front
    from rackmath.world.workload import Objectives, Traffic

    q, _ = question("meta-llama/Llama-3.1-8B", "h100", traffic=Traffic(isl=isl, osl=200))
    best = evaluate_plan(q, Layout(), q.precisions[0], float(batch))
    no = np.zeros(0)
    none = Front(interactivity=no, tput_per_gpu=no, blended_mtok=no, ttft=no, batch=no, labels=())
    found = Planned(
        question=q,
        objectives=Objectives(),
        best=best,
        runner_up=None,
        runner_up_why="",
        nearest=None,
        reasons=(),
        by_price=none,
        by_throughput=none,
        evaluated=1,
    )
    tree = plan_terms.plan(PlanAnswer(answer=found, fleet=None, notes=()))
    assert wrong(tree) == []
    mixed = node(tree, "mixed share")
    assert mixed.rule
    assert mixed.value == pytest.approx(batch * isl / 199 / node(tree, "chunk").value)  # type: ignore[operator]
    assert node(tree, "waiting, mean").rule
    busy = node(tree, "load of prefill").value
    assert busy is not None
    assert bool(node(tree, "waiting, median").rule) == (busy > 0.5)
    assert node(tree, "tokens on the device").value == batch


def test_counts_of_an_operation_are_numbers() -> None:
    answer = rackmath.forward("deepseek-ai/DeepSeek-V3", on="gb200-nvl72", batch=720, layout="TP8 DP9 EP72")
    tree = answer.explain()
    assert wrong(tree) == []
    assert node(tree, "tokens on the device").value == 80
    assert node(tree, "bytes of an expert").value == pytest.approx(3 * 7168 * 2048, rel=0.001)
    touched = node(tree, "experts touched").value
    assert touched is not None
    assert 3.5 < touched <= 4  # 256 experts on 72 devices, nearly all of them touched by 720 tokens of 8
    reduced = [n for n in tree.walk() if n.name == "collective" and n.rule]
    assert reduced
    assert all((n.children[0].value or 0) > 0 for n in reduced)


def test_depth_cuts_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    def levels(term: dict[str, object]) -> int:
        inner = term.get("children", [])
        assert isinstance(inner, list)
        return 1 + max((levels(one) for one in inner), default=0)

    def tree(*more: str) -> dict[str, object]:
        words = ["explain", "plan", "meta-llama/Llama-3.1-8B", "--on", "8xh100", "--json", *more]
        assert cli.run(words) == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    assert levels(tree()) > 6
    assert levels(tree("--levels", "2")) == 4  # the top, two levels, and the numbers of the last formulas
    assert levels(tree()) > 6
    assert cli.run(["explain", "plan", "meta-llama/Llama-3.1-8B", "--on", "8xh100", "--levels", "x"]) == 2


def test_terms_of_a_speculative_plan_follow() -> None:
    """TPOT is a step over the tokens it keeps, and a step pays for its drafts."""
    answer = plan("deepseek-ai/DeepSeek-V3", "gb200-nvl72", max_tpot="50ms", draft="mtp", depth=3)
    tree = plan_terms.plan(answer)
    assert wrong(tree) == []
    assert node(tree, "tokens kept per step").value == pytest.approx((1 - 0.7**4) / 0.3)
    assert (node(tree, "making drafts").value or 0) > 0


@pytest.mark.parametrize("machine", ["8xh200", "8xmi300x", "8xb300", "8xgaudi3"])
@pytest.mark.parametrize("engine", [None, "vllm", "sglang 0.5.6"])
@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-Next-80B-A3B-Instruct"])
def test_every_constant_names_its_fit(model: str, engine: str | None, machine: str) -> None:
    """Operations name entries of kernels.toml, seconds around them of tuning.toml, with points and errors."""
    answer = rackmath.forward(model, on=machine, batch=64, prefill=2000, engine=engine)
    tree = answer.explain()
    assert wrong(tree) == []
    work = next(n for n in tree.walk() if n.name in ("work of the device", "estimate") and n.rule == "sum")
    fitted = answer.subject.question.efficiency.generation is not None
    for term in work.children:
        if any(c.name == "running" for c in term.children):
            fits = [c for c in term.children if c.name.startswith("fit ")]
            assert fits, term.name
            for fit in fits:
                assert {c.name for c in fit.children} == {"compute share", "memory share", "kernel latency"}
                assert ("points, median error" in fit.note) == fitted
                assert all(n.source for n in fit.walk() if not n.children)
    for name in ("step overhead", "host work per sequence"):
        pooled, *factors = node(tree, name).children
        assert "[pooled]" in pooled.source
        assert "median error" in pooled.source
        assert not engine or f"factor of {engine.split()[0]}" in {f.name for f in factors}
    if fitted:
        gap, host = node(tree, "gap between launches"), node(tree, "host time per kernel")
        assert gap.value == answer.subject.question.efficiency.launch
        assert host.value == answer.subject.question.efficiency.host
        estimate = node(tree, "estimate")
        assert estimate.rule == "root of fourth powers"


@pytest.mark.parametrize("machine", ["rtx-4090", "rtx-5090", "l4", "l40s", "dgx-spark"])
def test_cards_with_gddr_name_where_their_bandwidth_was_seen(machine: str) -> None:
    tree = rackmath.forward("meta-llama/Llama-3.1-8B", on=machine, batch=1, engine="typical").explain()
    assert wrong(tree) == []
    told = node(tree, "fit gemm.bf16.default").children[1].children[1]
    assert (told.name, told.value) == ("factor in serving", pytest.approx(1.001 * 1.087))
    assert "cards with GDDR: data/fitted/llamacpp.toml [geforce], [workstation]" in told.source


def test_constants_set_by_hand_say_so() -> None:
    sets = {"efficiency.memory_share.gemm": 0.5, "efficiency.step_overhead": "2ms"}
    answer = rackmath.forward("meta-llama/Llama-3.1-8B", on="h100", sets=sets)
    tree = answer.explain()
    assert wrong(tree) == []
    fit = node(tree, "fit gemm.bf16.hopper")
    assert node(fit, "memory share").value == 0.5
    assert node(fit, "memory share").source == "set by hand"
    assert node(fit, "compute share").source != "set by hand"
    assert node(tree, "step overhead").source == "set by hand"
    assert node(tree, "step overhead").value == 2e-3


def test_what_a_kernel_wastes_is_not_negative() -> None:
    for model in MODELS:
        tree = rackmath.forward(model, on="8xh200", batch=96, prefill=1000).explain()
        for name in ("wasted", "besides", "moved besides", "start of a collective"):
            assert all((n.value or 0) > 0 for n in tree.walk() if n.name == name), (model, name)


def test_an_engine_of_ones_own_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    (tmp_path / "engines").mkdir()
    text = 'base = "vllm 0.15.1"\n[factors]\nstep = 1.5\nmemory = 0.9\n[source]\nfile = "runs.json"\n'
    (tmp_path / "engines" / "ours.toml").write_text(text)
    base, own = (rackmath.forward("meta-llama/Llama-3.1-8B", on="h100", engine=e).explain() for e in ("vllm 0.15.1", "ours"))
    assert wrong(own) == []
    assert (node(own, "step overhead").value or 0) == pytest.approx(1.5 * (node(base, "step overhead").value or 0))
    factor = node(own, "factor of ours")
    assert (factor.value, factor.source) == (1.5, "engines/ours.toml: file runs.json")
    assert any("engines/ours.toml" in n.source for n in node(own, "fit gemm.bf16.hopper").walk())
