"""Pipeline stages: published and worked numbers, both readings of memory, the decision, and bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest

import rackmath
from rackmath.errors import BadInput, Infeasible
from rackmath.faces import cli
from rackmath.kernel.counts import Pass
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.layout.pipeline import crossing_of, held, hop, per_device, stages_until_cache_leads, token_latency, utilisation
from rackmath.search.pipeline import dependencies
from rackmath.world import catalog
from rackmath.world.machine import Machine

V3, BIG, SMALL = "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-405B", "meta-llama/Llama-3.1-8B"


def test_hop_of_the_lecture_section_14c():
    """2,400 tokens of 7,168 BF16 numbers over 64 devices at 50 GB/s: 11 us of traffic, not milliseconds."""
    link = Machine(name="l", accelerator="l", scaleout_bandwidth=50e9, scaleout_latency=6e-6, scaleup_bandwidth=450e9)
    assert float(hop(2400, 7168, 2, 64, link).out) == pytest.approx(11e-6, rel=0.03)
    assert float(hop(2400, 7168, 2, 64, link).time) == pytest.approx(2400 * 7168 * 2 / 64 / 50e9 + 6e-6)
    inside = hop(2400, 7168, 2, 64, link, crosses=False)
    assert float(inside.up) == pytest.approx(float(hop(2400, 7168, 2, 64, link).out) / 9)


def test_token_latency_and_utilisation():
    assert float(token_latency(4, 5e-3, 11e-6, 4)) == pytest.approx(0.020044)
    assert float(token_latency(4, 5e-3, 0, 6)) == pytest.approx(0.030)  # six micro-batches take turns
    np.testing.assert_allclose(utilisation(np.array([1.0, 2.0, 4.0, 9.0]), 4), [0.25, 0.5, 1, 1])


def test_a_scalar_call_is_a_row_of_a_column_call():
    stages, micro = np.array([1.0, 2.0, 5.0, 16.0]), np.array([1.0, 4.0, 3.0, 64.0])
    every = Layout(tp=8.0, pp=stages)
    model, machine = catalog.model(BIG), catalog.machine("8xh100")
    latency, share = token_latency(stages, 5e-3, 1e-5, micro), utilisation(micro, stages)
    crossed = crossing_of(model, machine, model.precision, every)
    kept = held(model, model.precision, every, 8192.0, micro, fixed="micro-batch")
    for i, (p, m) in enumerate(zip(stages.tolist(), micro.tolist(), strict=True)):
        one = replace(every, pp=p)
        assert float(token_latency(p, 5e-3, 1e-5, m)) == latency[i]
        assert float(utilisation(m, p)) == share[i]
        assert float(crossing_of(model, machine, model.precision, one).ratio) == crossed.ratio[i]
        alone = held(model, model.precision, one, 8192.0, m, fixed="micro-batch")
        assert (float(alone.weights), float(alone.cache)) == (kept.weights[i], kept.cache[i])


def test_memory_per_device_in_both_readings_section_14b():
    weights, cache = 5e12, 2400 * 1e5 * 2048
    stages = np.array([1.0, 2.0, 4.0, 8.0])
    w, c = per_device(weights, cache, 64, stages, fixed="micro-batch")
    np.testing.assert_allclose(w / 1e9, [78, 39, 20, 10], atol=0.6)
    np.testing.assert_allclose(c / 1e9, 7.7, atol=0.05)
    _, falls = per_device(weights, cache, 64, stages, fixed="users")
    np.testing.assert_allclose(falls * stages, falls[0])
    lead = float(stages_until_cache_leads(weights, cache))
    w, c = per_device(weights, cache, 64, lead, fixed="micro-batch")
    assert float(w) == pytest.approx(float(c))


def test_held_agrees_with_both_readings_for_a_real_model():
    model = catalog.model(BIG)  # 126 layers divide by 1, 2, 3 and 6
    layout = Layout(tp=8.0, pp=np.array([1.0, 2.0, 3.0, 6.0]))
    by_batch = held(model, model.precision, layout, 8192.0, 32.0, fixed="micro-batch")
    by_users = held(model, model.precision, layout, 8192.0, 96.0, fixed="users")
    np.testing.assert_allclose(by_batch.cache, by_batch.cache[0])
    np.testing.assert_allclose(by_users.cache * layout.pp, by_users.cache[0])
    assert (np.diff(by_batch.weights) < 0).all()
    one = held(model, model.precision, Layout(tp=8.0, pp=3.0), 8192.0, 32.0, fixed="micro-batch")
    assert float(one.cache) == by_batch.cache[2] and float(one.weights) == by_batch.weights[2]  # noqa: PT018


def test_crossing_with_distinct_destinations_and_byte_widths():
    """LECTURE 14a: 8 experts over links 18x apart give 0.89 for one layer; destinations and formats make it less."""
    v3, rack = catalog.model(V3), catalog.machine("gb200-nvl72")
    layout = Layout(tp=1.0, dp=64.0, ep=64.0, pp=np.array([1.0, 61.0]))
    x = crossing_of(v3, rack, v3.precision, layout)
    assert float(x.link_ratio) == pytest.approx(18)
    assert float(x.targets) == pytest.approx(v3_targets(), rel=1e-9)
    moe_share = 58 / 61
    width = (v3.precision.sent.bytes + v3.precision.combine.bytes) / 2
    assert float(x.per_layer) == pytest.approx(moe_share * v3_targets() * width / 18)
    assert float(x.per_layer) < 0.89
    np.testing.assert_allclose(x.ratio, float(x.per_layer) * np.array([61.0, 1.0]))
    assert float(x.layers_needed) == np.ceil(1 / float(x.per_layer))
    dense = crossing_of(catalog.model(BIG), rack, catalog.model(BIG).precision, Layout(tp=8.0))
    # two all-reduces of 2 x 7/8 of a hidden vector from each device, which hands on 1/8 of one
    assert float(dense.per_layer) == pytest.approx(2 * (2 * 7 / 8) / (1 / 8) / 18)


def v3_targets():
    from rackmath.layout.experts import destinations

    ffn = next(g.ffn for g in catalog.model(V3).groups if g.ffn.n_experts)
    return float(destinations(64.0, ffn)) * 63 / 64


def test_the_table_says_what_forward_says():
    p = rackmath.pipeline(BIG, on="8xh100", batch=16).subject
    q = p.question
    for i, stages in enumerate(p.stages):
        layout = replace(p.stage, pp=float(stages))
        time = forward(q.model, q.machine, p.precision, layout, Pass(decode=16.0, context=8192.0), q.efficiency)
        fullest = np.ceil(126 / stages) * stages / 126
        assert p.by_micro_batch.tpot[i] == pytest.approx(float(time.estimate) * fullest)
        assert p.by_micro_batch.tpot_bound[i] <= p.by_micro_batch.tpot[i]
        assert p.by_users.tpot_bound[i] <= p.by_users.tpot[i]
    i = int(np.flatnonzero(p.stages == 2)[0])
    assert p.by_micro_batch.hops[i] == pytest.approx(p.hop)
    pass_of_users = rackmath.forward(BIG, on="8xh100", batch=8, layout="TP8").subject
    assert p.by_micro_batch.tpot[0] > float(pass_of_users.time.estimate)


def test_the_smallest_number_of_stages_is_the_first_that_fits():
    """405B parameters in BF16 are 812 GB: more than eight times 80 GB, less than sixteen times."""
    p = rackmath.pipeline(BIG, on="8xh100").subject
    assert p.smallest == 2
    assert list(p.by_micro_batch.fits) == [bool(s >= 2) for s in p.stages]
    assert rackmath.pipeline(BIG, on="8xh100", precision="fp8").subject.smallest == 1
    assert rackmath.pipeline(V3, on="gb200-nvl72").subject.smallest == 1
    deep = rackmath.pipeline(BIG, on="h100").subject  # one device a stage: 812 GB / (80 GB less reserve)
    assert deep.smallest > 812 / 80
    assert deep.smallest - 1 in deep.stages
    assert not deep.by_micro_batch.fits[list(deep.stages).index(deep.smallest - 1)]


def test_fixed_micro_batches_that_never_fit(capsys):
    p = rackmath.pipeline(BIG, on="8xh100", batch=512, users=100).subject
    assert p.smallest == 0
    assert p.smallest_holding == 2
    assert not p.by_micro_batch.fits.any()
    assert p.by_users.fits.any()
    record = rackmath.pipeline(BIG, on="8xh100", batch=512, users=100).record
    assert record["fewest_stages"] is None
    assert "No number of stages" in record["verdict"]
    assert "100 users in all would fit 3 stages" in record["verdict"]


def test_micro_batches_under_way():
    """min(1, m / P): too few leave stages idle, more make a sequence wait for its turn."""
    few = rackmath.pipeline(SMALL, on="8xh100", batch=8, micro_batches=2).subject
    plain = rackmath.pipeline(SMALL, on="8xh100", batch=8).subject
    many = rackmath.pipeline(SMALL, on="8xh100", batch=8, micro_batches=16).subject
    for p, m in ((few, 2), (many, 16)):
        np.testing.assert_allclose(p.by_micro_batch.busy, np.minimum(1, m / p.stages))
        np.testing.assert_allclose(p.by_micro_batch.users, 8 * m)
        np.testing.assert_allclose(p.by_users.micro, 8)
        assert (p.by_micro_batch.tpot_bound <= p.by_micro_batch.tpot).all()
    assert (plain.by_micro_batch.busy == 1).all()
    i = int(np.flatnonzero(few.stages == 4)[0])
    assert few.by_micro_batch.tpot[i] == pytest.approx(plain.by_micro_batch.tpot[i])  # its way is as long
    assert few.by_micro_batch.output_mtok[i] == pytest.approx(2 * plain.by_micro_batch.output_mtok[i])
    waits = plain.by_micro_batch.tpot[i] - plain.by_micro_batch.hops[i]
    assert many.by_micro_batch.tpot[i] == pytest.approx(4 * waits)


def test_utilisation_stands_on_the_screen(capsys):
    assert cli.run(["pipeline", BIG, "--on", "8xh100"]) == 0
    assert "busy 100%, with as many micro-batches as stages" in " ".join(capsys.readouterr().out.split())
    assert cli.run(["pipeline", BIG, "--on", "8xh100", "--micro-batches", "3"]) == 0
    out = capsys.readouterr().out
    for words in ("busy", "75%", "38%", "$/Mtok", "min(1, micro-batches under way / P)"):
        assert words in out


def test_fewer_users_than_stages_leave_stages_idle():
    p = rackmath.pipeline(SMALL, on="8xh100", users=3, batch=3).subject
    np.testing.assert_allclose(p.by_users.busy, np.minimum(1, 3 / p.stages))
    assert (p.by_users.micro >= 1).all()


def test_cross_layer_dependencies_are_flagged():
    assert dependencies(catalog.model(BIG)) == ()
    assert any("different kinds" in n for n in dependencies(catalog.model(V3)))
    gemma = dependencies(catalog.model("google/gemma-3-27b-it"))
    assert any("different sizes" in n for n in gemma)
    assert any("one table" in n for n in gemma)
    sharing = replace(catalog.model(SMALL))
    group = sharing.groups[0]
    stream = replace(group.mixer.streams[0], stored=False)
    half = replace(group, count=16, mixer=replace(group.mixer, streams=(stream,)))
    tied = replace(sharing, groups=(replace(group, count=16), half))
    assert any("16 layers read a cache that another layer keeps" in n for n in dependencies(tied))


def test_faces(tmp_path, capsys):
    words = ["pipeline", BIG, "--on", "8xh100", "--context", "32k"]
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert "2 stages are the fewest that fit" in out
    assert cli.run([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["fewest_stages"] == 2
    assert [r["stages"] for r in record["rows"]][:3] == [1, 2, 3]
    assert cli.run([*words, "--csv"]) == 0
    assert capsys.readouterr().out.startswith("stages,layers,gpus,weights")
    assert cli.run([*words, "-o", str(tmp_path / "p.svg")]) == 0
    assert "Pipeline stages" in (tmp_path / "p.svg").read_text()
    tree = rackmath.pipeline(V3, on="gb200-nvl72").explain()
    assert all(node.follows() for node in tree.walk())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stages", "127"], "has 126 layers"),
        (["--stages", "0"], "stages = 0 is out of range"),
        (["--stages", "1.5"], "whole number"),
        (["--layout", "TP4 PP2"], "without PP"),
        (["--layout", "TP3"], "do not divide"),
        (["--batch", "0"], "out of range"),
        (["--micro-batches", "0"], "out of range"),
        (["--micro-batches", "1.5"], "whole number"),
        (["--users", "-1"], "out of range"),
        (["--context", "10M"], "was made for"),
        (["--set", "machine.scaleout_bandwidth=0GB/s"], "not above zero"),
    ],
)
def test_bad_input(words, said, capsys):
    assert cli.run(["pipeline", BIG, "--on", "8xh100", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_no_network_and_one_device():
    box = replace(catalog.machine("8xh100"), scaleout_bandwidth=0.0)
    with pytest.raises(Infeasible, match="no network"):
        rackmath.pipeline(BIG, on=box)
    assert list(rackmath.pipeline(SMALL, on=box, layout="TP8").subject.stages) == [1]
    with pytest.raises(BadInput, match="no bandwidth between"):
        rackmath.pipeline(SMALL, on=replace(box, scaleup_bandwidth=0.0), layout="TP8")
    alone = rackmath.pipeline(SMALL, on="h100").subject
    assert float(alone.stage.gpus) == 1
    assert alone.smallest == 1
    with pytest.raises(Infeasible, match="one stage of TP1"):
        rackmath.pipeline(BIG, on="h100", stages=1)
