"""The simulator of an engine against counting by hand, against itself, the steady state, and a real log.

`serving.closedloop` follows the same requests without steps; both are held together here.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hfdata import DATA
from hypothesis import example, given
from hypothesis import strategies as st
from models import llama_70b

from rackmath.errors import BadInput
from rackmath.evidence import vllm_log
from rackmath.kernel.counts import Pass
from rackmath.kernel.efficiency import default_efficiency
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.search.passtimes import pass_times
from rackmath.search.requests import Requests, Served, closed_loop, lengths, poisson
from rackmath.search.simulate import Scheduler, StepLoad, simulate
from rackmath.serving.closedloop import closed_loop_ttft
from rackmath.serving.clumps import LoopSteps, LoopUsers
from rackmath.serving.replica import Replica
from rackmath.serving.steady import at_concurrency
from rackmath.world import catalog
from rackmath.world.engine import TYPICAL
from rackmath.world.precision import Precision
from rackmath.world.workload import Traffic

LOG = DATA / "serving" / "llmservingsim_vllm_requests.csv"
needs = pytest.mark.skipif(not LOG.is_file(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")


def linear(work: StepLoad) -> float:
    return 0.01 + 1e-4 * work.decode + 1e-8 * work.context + 2e-5 * work.prefill + 1e-9 * work.pairs


def columns(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"inputs": np.array([float(i) for i, _ in pairs]), "outputs": np.array([float(o) for _, o in pairs])}


# --- by hand --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed", "prefill first"])
def test_a_single_request_takes_its_passes(policy: str) -> None:
    one = Requests(**columns((5000, 100)), arrival=np.array([3.0]))
    served = simulate(one, linear, Scheduler(budget=2048, policy=policy, overhead=0.25))
    passes, have = 0.0, 0
    for size in (2048, 2048, 904):
        have += size
        passes += linear(StepLoad(0, 0.0, size, size * (have - size / 2), 1))
    decode = sum(linear(StepLoad(1, 5000.0 + k)) for k in range(99))
    assert served.ttft[0] == pytest.approx(0.25 + passes)
    assert served.engine_ttft[0] == pytest.approx(passes)
    assert served.tpot[0] == pytest.approx(decode / 99)
    assert served.last[0] == pytest.approx(3.25 + passes + decode)


def test_decoding_goes_on_beside_prefill_only_where_steps_are_mixed() -> None:
    two = Requests(**columns((10, 50), (1000, 2)), arrival=np.array([0.0, 2.5]))

    def unit(work: StepLoad) -> float:
        return 1.0

    mixed = simulate(two, unit, Scheduler(budget=100))
    first = simulate(two, unit, Scheduler(budget=100, policy="prefill first"))
    assert mixed.last[0] == 50  # a token a step, whatever else the steps carry
    assert mixed.first[1] == 3 + 11  # 99 prompt tokens a step beside one decoding sequence
    assert first.first[1] == 3 + 10
    assert first.last[0] == 60


def test_first_come_first_served() -> None:
    rng = np.random.default_rng(0)
    many = Requests(
        inputs=rng.integers(1, 3000, 200).astype(float), outputs=rng.integers(1, 50, 200).astype(float), arrival=poisson(20, 200)
    )
    served = simulate(many, linear, Scheduler(budget=1024))
    assert np.all(np.diff(served.scheduled) >= 0)
    assert np.all(np.diff(served.first) >= 0)
    assert np.all(served.queued >= served.arrival)


def test_a_short_cache_pushes_the_youngest_back() -> None:
    two = Requests(**columns((100, 60), (100, 60)), arrival=np.zeros(2))
    served = simulate(two, linear, Scheduler(kv_tokens=240, block=1))
    assert served.preempted.tolist() == [0, 1]
    assert served.last[0] < served.last[1]
    roomy = simulate(two, linear, Scheduler(kv_tokens=1000, block=1))
    assert roomy.preempted.sum() == 0
    assert roomy.last[0] == roomy.last[1]
    # with room for its whole output kept for everyone admitted, nobody is pushed back
    safe = simulate(two, linear, Scheduler(kv_tokens=240, block=1, reserve=1.0))
    assert safe.preempted.sum() == 0
    assert safe.scheduled[1] >= safe.last[0]


# --- whatever the requests ------------------------------------------------------------------------------------------

some_requests = st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=30)


@given(
    some_requests,
    st.sampled_from(["mixed", "prefill first"]),
    st.integers(30, 600),
    st.integers(1, 40),
    st.sampled_from([1, 16]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
@example([(280, 17), (25, 25), (1, 46), (123, 23), (111, 19), (116, 19)], "mixed", 30, 4, 16, 0.0)
def test_every_request_is_answered_once_and_tokens_add_up(
    pairs: list[tuple[int, int]], policy: str, budget: int, sequences: int, block: int, reserve: float
) -> None:
    how = Scheduler(budget=budget, sequences=sequences, kv_tokens=480, block=block, policy=policy, reserve=reserve, overhead=0.01)
    for clients in (None, 4):
        given_ = columns(*pairs)
        arrival = None if clients else np.linspace(0, 0.3, len(pairs))
        served = simulate(Requests(**given_, arrival=arrival, clients=clients), linear, how)
        assert np.all(served.first > served.queued - 1e-12)
        assert np.all(served.last >= served.first)
        assert np.all(np.diff(served.steps.end) > 0)
        # every output token is made by one decode step or by the prefill that goes before it
        made = served.steps.decode.sum() + len(pairs) + served.preempted.sum()
        assert served.outputs.sum() <= made <= served.outputs.sum() + served.preempted.sum()
        assert served.steps.prefill.sum() >= served.inputs.sum()
        if not served.preempted.any():
            assert made == served.outputs.sum()
            assert served.steps.prefill.sum() == served.inputs.sum()
        assert np.all(served.steps.decode + served.steps.prefill <= max(budget, sequences))
        assert served.steps.running.max() <= sequences
        assert np.all((served.steps.kv_share >= 0) & (served.steps.kv_share <= 1))
        assert served.steps.kv_share[-1] == 0
        assert served.steps.running[-1] == served.steps.waiting[-1] == 0


def test_the_same_seed_gives_the_same_run() -> None:
    def one() -> Served:
        return simulate(closed_loop(500, 100, 16, seed=3), linear, Scheduler(kv_tokens=8000))

    a, b = one(), one()
    assert np.array_equal(a.first, b.first)
    assert np.array_equal(a.last, b.last)
    assert not np.array_equal(lengths(500, 20, low=0.8, seed=1), lengths(500, 20, low=0.8, seed=2))


@pytest.mark.parametrize("policy", ["mixed", "prefill first"])
def test_more_room_for_cache_serves_no_slower(policy: str) -> None:
    def rate(room: float) -> float:
        how = Scheduler(kv_tokens=room, policy=policy)
        return simulate(closed_loop(600, 200, 32, rounds=5), linear, how).output_tput

    rates = [rate(room) for room in (1600, 3200, 6400, 12800, 25600, np.inf)]
    assert all(more >= less * 0.995 for less, more in pairwise(rates))
    assert rates[-1] > 3 * rates[0]


def test_a_summary_is_in_seconds() -> None:
    served = simulate(closed_loop(300, 50, 8), linear, Scheduler())
    said = served.summary()
    assert said["requests"] == 80
    assert said["ttft_median"] <= said["ttft_p90"] <= said["ttft_p99"]
    assert said["output_tput"] == pytest.approx(served.outputs.sum() / said["duration"])
    single = simulate(Requests(**columns((5, 1)), arrival=np.zeros(1)), linear, Scheduler())
    assert "tpot_mean" not in single.summary()


# --- refused --------------------------------------------------------------------------------------------------------


def looped(clients: float = 1, step: float = 1.0, **given: float) -> object:
    """A closed loop of little."""
    users = LoopUsers(clients=clients, isl=5, osl=5, **given)
    return closed_loop_ttft(users, LoopSteps(step=step, per_token=0.1, budget=10))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Requests(**columns((5, 5)), arrival=np.array([np.nan])), "arrival"),
        (lambda: Requests(**columns((5, 5)), arrival=np.array([-1.0])), "negative"),
        (lambda: Requests(**columns((0, 5)), arrival=np.zeros(1)), "inputs"),
        (lambda: Requests(inputs=np.array([5.5]), outputs=np.ones(1), clients=1), "whole number"),
        (lambda: Requests(inputs=np.ones(2), outputs=np.ones(1), clients=1), "rows"),
        (lambda: Requests(inputs=np.array([]), outputs=np.array([]), clients=1), "no requests"),
        (lambda: Requests(**columns((5, 5))), "either"),
        (lambda: Requests(**columns((5, 5)), clients=0), "clients"),
        (lambda: Scheduler(policy="random"), "policy"),
        (lambda: Scheduler(budget=np.nan), "budget"),
        (lambda: Scheduler(kv_tokens=-1), "kv_tokens"),
        (lambda: Scheduler(reserve=2), "reserve"),
        (lambda: Scheduler(overhead=-1), "overhead"),
        (lambda: Scheduler(poll=0), "poll"),
        (lambda: looped(clients=np.inf), "clients"),
        (lambda: poisson(0, 3), "rate"),
        (lambda: lengths(np.nan, 3), "lengths"),
        (lambda: simulate(closed_loop(500, 100, 2), linear, Scheduler(kv_tokens=300)), "room for"),
        (lambda: simulate(closed_loop(500, 100, 2), lambda w: np.nan, Scheduler()), "seconds"),
        (lambda: looped(clients=-1), "clients"),
        (lambda: looped(step=np.nan), "step"),
        (lambda: looped(clients=1, spread=1.0), "spread"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        make()
    assert "\n" not in str(error.value)


# --- times of passes ------------------------------------------------------------------------------------------------


def tables(layout: Layout, context: float = 8000, sequences: float = 256) -> Any:
    machine = catalog.machine("8xh100")
    return machine, pass_times(
        llama_70b(), machine, Precision.uniform("fp8"), layout, default_efficiency(), sequences=sequences, context=context, budget=8192
    )


@pytest.mark.parametrize(
    ("n", "context", "prefill", "prompt"),
    [
        (1, 1000, 0, 0),
        (37, 3000, 0, 0),
        (200, 700, 0, 0),
        (1, 500, 100, 100),
        (60, 2000, 3000, 3000),
        (150, 1000, 8000, 1000),
        (0, 1, 5000, 5000),
    ],
)
def test_tables_give_the_times_of_passes(n: int, context: float, prefill: int, prompt: int) -> None:
    layout = Layout(tp=8)
    machine, table = tables(layout)
    efficiency = default_efficiency()
    work = Pass(decode=float(max(n, 1e-2)), context=float(context))
    prompts = prefill / prompt if prompt else 0
    if prefill:
        work = Pass(decode=float(max(n, 1e-2)), context=float(context), prefill=float(prefill), prompt=float(prompt))
    exact = float(forward(llama_70b(), machine, Precision.uniform("fp8"), layout, work, efficiency).estimate)
    found = table(StepLoad(n, n * context, prefill, prefill * prompt / 2, int(prompts)))
    assert found == pytest.approx(exact, rel=0.04)


def test_a_lone_prompt_keeps_one_attention_rank_busy() -> None:
    _, table = tables(Layout(tp=1, dp=8))
    alone, spread = table(StepLoad(64, 64e3, 4096, 4096 * 2048, 1)), table(StepLoad(64, 64e3, 4096, 8 * 512 * 256, 8))
    assert alone > 1.5 * spread


def test_the_steady_state_is_met_where_prefill_is_light() -> None:
    """Short prompts and long outputs: TPOT and rate are those of the mean field."""
    layout, clients, isl, osl = Layout(tp=8), 64, 64, 600
    machine, table = tables(layout)
    served = simulate(closed_loop(isl, osl, clients, rounds=6, low=0.5), table, Scheduler(budget=8192))
    steady = at_concurrency(
        Replica(llama_70b(), machine, Precision.uniform("fp8"), layout, TYPICAL, default_efficiency()),
        Traffic(isl=0.75 * isl, osl=0.75 * osl, closed=True),
        float(clients),
    )
    full = served.steps.running == clients
    whole = np.diff(served.steps.end, prepend=0.0)[full].mean()
    assert whole == pytest.approx(float(steady.tpot), rel=0.04)
    assert served.summary()["tpot_mean"] == pytest.approx(float(steady.tpot), rel=0.06)


def test_thousands_of_requests_are_all_served() -> None:
    _, table = tables(Layout(tp=8))
    served = simulate(closed_loop(1000, 1000, 256, rounds=12), table, Scheduler(budget=8192))
    assert len(served.first) == 3072
    assert np.all(np.isfinite(served.first))


# --- closed loops without steps -------------------------------------------------------------------------------------


def loops(n: int, prefill_first: bool) -> list[tuple[float, ...]]:
    """Random benchmarks: clients, isl, osl, budget, seconds with all decoding and a prompt token's (a lone decode
    step takes 1), rounds, shortest length over longest."""
    rng = np.random.default_rng(7)
    found: list[tuple[float, ...]] = []
    while len(found) < n:
        clients = int(2 ** rng.uniform(0, 9.5))
        budget = int(2 ** rng.uniform(11, 14))
        found.append(
            (
                clients,
                int(2 ** rng.uniform(6, 13.5)),
                int(2 ** rng.uniform(6, 10.5)),
                budget if prefill_first else max(budget, 2 * clients),
                1 + rng.uniform(),
                10 ** rng.uniform(-5, -2.5),
                10.0 if rng.uniform() < 0.7 else 4.0,
                0.8 if rng.uniform() < 0.7 else 1.0,
            )
        )
    return found


@pytest.mark.parametrize("prefill_first", [False, True])
def test_closed_loops_agree_with_the_simulator(prefill_first: bool) -> None:
    off: dict[str, list[float]] = {"ttft_mean": [], "ttft": [], "tpot_mean": [], "rate": []}
    for clients, isl, osl, budget, full, token, rounds, low in loops(40, prefill_first):

        def step(work: StepLoad, full: float = full, token: float = token, clients: float = clients) -> float:
            alone = prefill_first and not work.decode
            return (0.3 if alone else 1 + (full - 1) * work.decode / clients) + token * work.prefill

        served = simulate(
            closed_loop(isl, osl, int(clients), rounds=rounds, low=low),
            step,
            Scheduler(budget=budget, sequences=clients, overhead=0.6, policy="prefill first" if prefill_first else "mixed"),
        ).summary()
        mean = (1 + low) / 2
        found = closed_loop_ttft(
            LoopUsers(clients=clients, isl=isl * mean, osl=osl * mean, rounds=rounds, spread=(1 - low) / 2 / mean),
            LoopSteps(step=full, base=1.0, per_token=token, budget=budget, prefill_step=0.3, prefill_first=prefill_first, overhead=0.6),
        )
        pairs = {"ttft_mean": "ttft_mean", "ttft": "ttft_median", "tpot_mean": "tpot_mean", "rate": "request_rate"}
        for name, theirs in pairs.items():
            off[name].append(abs(float(getattr(found, name)[0]) / served[theirs] - 1))
    worst = {name: np.percentile(e, 90) for name, e in off.items()}
    assert worst["ttft_mean"] < 0.2
    assert worst["ttft"] < 0.4
    assert np.median(off["ttft_mean"]) < 0.06
    assert np.median(off["ttft"]) < 0.06
    assert worst["tpot_mean"] < 0.05
    assert worst["rate"] < 0.08


@pytest.mark.parametrize(("clients", "seats"), [(64, 32), (256, 200), (1000, 400)])
def test_clients_without_a_seat_stand_in_line(clients: int, seats: int) -> None:
    def step(work: StepLoad) -> float:
        return 1 + work.decode / clients + 1e-4 * work.prefill

    served = simulate(closed_loop(1024, 300, clients), step, Scheduler(budget=4096, sequences=seats, overhead=0.6)).summary()
    found = closed_loop_ttft(
        LoopUsers(clients=clients, isl=0.9 * 1024, osl=0.9 * 300),
        LoopSteps(step=2.0, base=1.0, per_token=1e-4, budget=4096, seats=seats, overhead=0.6),
    )
    assert float(found.ttft_mean[0]) == pytest.approx(served["ttft_mean"], rel=0.1)
    assert float(found.rate[0]) == pytest.approx(served["request_rate"], rel=0.08)


@pytest.mark.parametrize(("clients", "poll"), [(8, 10), (32, 30), (200, 30), (64, 4)])
def test_an_engine_that_seldom_looks_lets_requests_wait(clients: int, poll: int) -> None:
    """sglang under --scheduler-recv-interval: half of the interval, in decode steps, comes on top."""

    def step(work: StepLoad) -> float:
        return (1 + work.decode / clients if work.decode else 0.3) + 2e-4 * work.prefill

    def both(poll: float) -> tuple[float, float]:
        how = Scheduler(budget=16384, sequences=clients, overhead=0.6, policy="prefill first", poll=poll)
        served = simulate(closed_loop(1024, 800, clients), step, how).summary()
        found = closed_loop_ttft(
            LoopUsers(clients=clients, isl=0.9 * 1024, osl=0.9 * 800),
            LoopSteps(step=2.0, base=1.0, per_token=2e-4, budget=16384, prefill_step=0.3, prefill_first=True, overhead=0.6, poll=poll),
        )
        return served["ttft_median"], float(found.ttft[0])

    (often, _), (seldom, found) = both(1), both(poll)
    assert found == pytest.approx(seldom, rel=0.4)
    assert seldom - often == pytest.approx(poll, rel=0.5)  # half of so many steps of 2 seconds


def test_rows_of_a_column_do_not_touch_each_other() -> None:
    clients = np.array([1.0, 3.0, 17.0, 64.0, 100.0, 700.0])
    together = closed_loop_ttft(LoopUsers(clients=clients, isl=900, osl=900), LoopSteps(step=0.02, per_token=2e-5, budget=8192))
    for i, n in enumerate(clients):
        alone = closed_loop_ttft(LoopUsers(clients=n, isl=900, osl=900), LoopSteps(step=0.02, per_token=2e-5, budget=8192))
        for name in ("ttft", "ttft_mean", "tpot", "tpot_mean", "rate"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name)[0], rel=1e-9)


# --- a log ----------------------------------------------------------------------------------------------------------

MADE_UP = [
    {
        "request_id": str(i),
        "input_toks": str(200 + 50 * i),
        "output_toks": str(20 + i),
        "arrival_time": str(100 + i),
        "queued_ts": "",
        "run": "RTX4090/Llama-3.1-8B",
        "ttft_s": "0.1",
        "tpot_s": "0.02",
    }
    for i in range(8)
]


def test_a_made_up_log_is_answered_from_arrivals_and_lengths_alone() -> None:
    found = vllm_log.answers(MADE_UP)
    assert all(a.answered and set(a.said.estimates) == {"ttft_s", "tpot_s"} for a in found)
    assert found[0].measured == {"ttft_s": 0.1, "tpot_s": 0.02}
    assert "settings are vLLM's defaults" in found[0].said.notes
    for estimate in (e for a in found for e in a.said.estimates.values()):
        assert estimate.bound is not None
        assert 0 < estimate.bound <= estimate.pred
    other = [{**row, "ttft_s": "9", "tpot_s": "9", "first_token_ts": "7", "scheduled_ts": "7"} for row in MADE_UP]
    assert [a.said.estimates for a in vllm_log.answers(other)] == [a.said.estimates for a in found]


def test_rows_that_say_nonsense_have_a_reason_and_the_others_an_answer() -> None:
    wrong = ({"input_toks": "-5"}, {"arrival_time": ""}, {"input_toks": "1e8"}, {"run": "RTX4090"}, {"run": "RTX4090/no-such-model-7B"})
    bad = [{**row, **change} for row, change in zip(MADE_UP, wrong, strict=False)]
    found = vllm_log.answers([*bad, *MADE_UP[5:]])
    assert [a.answered for a in found] == [False] * 5 + [True] * 3
    assert all("\n" not in a.said.reason for a in found)


def test_one_output_token_has_no_tpot() -> None:
    found = vllm_log.answers([{**row, "output_toks": "1"} for row in MADE_UP])
    assert all(set(a.said.estimates) == {"ttft_s"} for a in found)


def of_run(path: Path, run: str) -> list[dict[str, str]]:
    """Rows of one run of a log."""
    with open(path, newline="") as handle:
        return [row for row in csv.DictReader(handle) if row["run"] == run]


@needs
def test_a_real_log_is_reproduced_where_step_times_are_right() -> None:
    """300 requests of an RTX 4090 whose cache overflows. Scheduling alone is tested: the seconds of a step are read
    off the log's own time series (16.3 ms, 1.5 ms for each GB of cache, 95 us for each prompt token)."""
    rows = of_run(LOG, "RTX4090/Llama-3.1-8B")
    seen = {
        name: np.array([float(row[name]) for row in rows])
        for name in ("queued_ts", "first_token_ts", "last_token_ts", "input_toks", "output_toks", "ttft_s", "tpot_s")
    }
    requests = Requests(inputs=seen["input_toks"], outputs=seen["output_toks"], arrival=seen["queued_ts"] - seen["queued_ts"].min())

    def step(work: StepLoad) -> float:
        weights = max(16.3e-3 - 0.75 * 9.5e-5 * work.prefill, 4e-3)  # read once, hidden behind the prompts' products
        return weights + 1.5e-3 * work.context * 131072 / 1e9 + 9.5e-5 * work.prefill

    served = simulate(requests, step, Scheduler(kv_tokens=41408))
    whole = (served.last - served.queued) / (seen["last_token_ts"] - seen["queued_ts"]) - 1
    assert np.mean(np.abs(whole)) < 0.03
    assert np.median(np.abs(served.engine_ttft / seen["ttft_s"] - 1)) < 0.03
    assert np.median(np.abs(served.tpot / seen["tpot_s"] - 1)) < 0.06
    series = of_run(LOG.with_name("llmservingsim_vllm_timeseries.csv"), "RTX4090/Llama-3.1-8B")
    at = np.searchsorted(served.steps.end, [float(row["t"]) for row in series], side="right") - 1
    for name, ours in (("running", served.steps.running), ("waiting", served.steps.waiting)):
        theirs = np.array([float(row[name]) for row in series])
        assert np.mean(np.abs(ours[at] - theirs)) < 0.08 * theirs.max()
    cache = np.array([float(row["kv_cache_pct"]) for row in series]) / 100
    assert np.mean(np.abs(served.steps.kv_share[at] - cache)) < 0.06


@needs
@pytest.mark.parametrize("run", ["RTX4090/Llama-3.1-8B", "RTXPRO6000/Qwen3-32B"])
def test_the_real_log_is_answered_and_beats_no_bound(run: str) -> None:
    rows = of_run(LOG, run)
    if not rows:
        pytest.skip(f"the log has no run {run}")
    found = vllm_log.answers(rows, LOG)
    assert len(found) == 300
    assert all(a.answered and not a.broken for a in found)
    assert found[0].said.engine == "vllm 0.19.0"
    mean = np.mean([a.said.estimates["ttft_s"].pred for a in found])
    assert mean == pytest.approx(np.mean([a.measured["ttft_s"] for a in found]), rel=0.5)
