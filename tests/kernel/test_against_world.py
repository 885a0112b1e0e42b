"""Ten measured serving points beside what is predicted for them, with nothing fitted.

`pytest tests/test_against_world.py -s` prints the table. The bound must hold on each; the estimate of TPOT must lie
within a factor of two. TTFT is printed only: these benchmarks start all requests at once and keep them in step, so
their prompts queue for each other, while the estimate assumes arrivals at random.
"""

import tomllib
from pathlib import Path

import pytest

from rackmath.questions.layouts import parse_layout
from rackmath.questions.resolve import question
from rackmath.serving.steady import at_concurrency
from rackmath.world.workload import Traffic

POINTS = tomllib.loads((Path(__file__).parents[1] / "against" / "serving_points.toml").read_text())["point"]


@pytest.mark.parametrize("point", POINTS, ids=[p["id"] for p in POINTS])
def test_bound_holds_and_estimate_is_near(point):
    traffic = Traffic(isl=point["isl"], osl=point["osl"])
    q, _ = question(point["model"], point["machine"], traffic=traffic, precision=point["precision"], kv=point["kv"])
    layout = parse_layout(point["layout"], q)
    s = at_concurrency(q.replica(q.precisions[0], layout), traffic, point["concurrency"])
    measured = point["tpot_ms"] / 1e3
    print(
        f"\n{point['model']:34s} {point['machine']:7s} {point['engine']:22s} {layout.label():8s}"
        f" TPOT measured {point['tpot_ms']:6.2f} ms, predicted {float(s.tpot) * 1e3:6.2f},"
        f" bound {float(s.tpot_bound) * 1e3:5.2f};"
        f" TTFT {point['ttft_ms']:5.0f} ms, predicted {float(s.ttft) * 1e3:4.0f}",
        end="",
    )
    assert float(s.concurrency) == pytest.approx(point["concurrency"], rel=0.02)
    assert float(s.tpot_bound) <= measured
    assert float(s.ttft_bound) <= point["ttft_ms"] / 1e3
    assert measured / 2 < float(s.tpot) < measured * 2
