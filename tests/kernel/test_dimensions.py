"""Dimensions: kernels run on quantities whose base dimensions are byte, flop, second and dollar.

A sum of unlike things, or a result in the wrong unit, fails here.
"""

from typing import Any

import numpy as np
import pint
import pytest

from rackmath.kernel.achieved import Achieved
from rackmath.kernel.efficiency import Efficiency
from rackmath.kernel.roofline import Op, balance_batch, drain_time, pass_time, ratio
from rackmath.layout.collectives import GroupLinks, all_gather, all_reduce, seconds_per_copy

u: Any = pint.UnitRegistry()
u.define("flop = [flop]")
BYTE, SECOND, FLOP = u.byte, u.second, u.flop


def _links() -> GroupLinks:
    return GroupLinks(
        inside=8.0,
        across=np.array([1.0, 2.0]),
        up_rate=450e9 * BYTE / SECOND,
        out_rate=50e9 * BYTE / SECOND,
        up_latency=2e-6 * SECOND,
        out_latency=6e-6 * SECOND,
        share=0.8,
    )


def test_a_pass_adds_seconds_to_seconds():
    gemm = Op(
        name="weights",
        kind="gemm",
        layers=61,
        flops=np.array([1e9, 2e9]) * FLOP,
        compute=np.array([1e9, 2e9]) * FLOP / (989e12 * FLOP / SECOND),
        spent=Achieved(
            launch=5e-6 * SECOND,
            compute=np.array([1e9, 2e9]) * FLOP / (700e12 * FLOP / SECOND),
            memory=np.array([3e8, 3e8]) * BYTE / (3e12 * BYTE / SECOND),
            moved=1e-6 * SECOND,
        ),
        bytes=np.array([3e8, 3e8]) * BYTE,
    )
    sent = all_reduce(np.array([1e6, 2e6]) * BYTE, _links())
    reduce = Op(name="all-reduce", kind="network", network=sent.time, up=sent.up, out=sent.out)
    t = pass_time(
        [gemm, reduce], bandwidth=3.35e12 * BYTE / SECOND, efficiency=Efficiency(launch=2e-6 * SECOND), step_overhead=1e-3 * SECOND
    )
    for name in ("bound", "estimate", "per_operation", "plain_sum", "compute", "memory", "up", "by_weights"):
        assert getattr(t, name).check("[time]"), name
    assert t.flops.check("[flop]")
    assert t.bytes.units == BYTE
    with pytest.raises(pint.DimensionalityError):
        pass_time([gemm], bandwidth=3.35e12 * BYTE, efficiency=Efficiency())  # bytes given for bytes per second


def test_collectives_return_seconds():
    size = np.array([1e6, 1e9]) * BYTE
    for cost in (all_reduce(size, _links()), all_gather(size, _links())):
        assert cost.time.check("[time]")
        assert cost.up.check("[time]")
        assert cost.out.check("[time]")
    for scheme in ("direct", "hierarchical"):
        per_byte, latency = seconds_per_copy(scheme, 8.0, 2.0, _links())
        assert (per_byte * size).check("[time]")
        assert latency.check("[time]")


def test_balance_and_drain():
    """R is multiplies per weight, once a multiply-add counts as two FLOP and a weight has a size."""
    r = ratio(1979e12 * FLOP / SECOND, 1.0 * BYTE, 3.35e12 * BYTE / SECOND)
    assert r.units == FLOP
    assert r.magnitude == pytest.approx(295, abs=1)
    assert drain_time(80e9 * BYTE, 3.35e12 * BYTE / SECOND).check("[time]")
    assert balance_batch(r, 671e9, 37e9).units == FLOP
