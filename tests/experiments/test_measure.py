"""What is measured of reversible networks: the counters against sizes known beforehand, and the findings."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rackmath.experiments import measure, text
from rackmath.experiments.model import WAYS, Gpt, Shape, loss
from rackmath.experiments.results import agreement, growth

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def points():
    return measure.against_depth(Shape(width=64, context=64), (4, 16), batch=8, repeats=1)


def test_saved_bytes_of_a_known_graph():
    x, w = torch.ones(1000, 8, requires_grad=True), torch.ones(8, 4, requires_grad=True)
    assert measure.saved_bytes(lambda: x @ w, [w]) == 32_000  # x for the gradient of w; w is a parameter
    assert measure.saved_bytes(lambda: (x @ w).relu(), [w]) == 32_000 + 16_000
    assert measure.saved_bytes(lambda: x + x[:, :1], [x]) == 0
    assert measure.saved_bytes(lambda: x[:500] * x[500:], []) == 32_000  # two views of one storage


def test_peak_bytes_of_known_allocations():
    def step():
        a = torch.ones(1_000_000)
        b = a + 1
        del a
        return b * 2

    assert measure.peak_bytes(step, CPU) == pytest.approx(8e6, rel=0.01)


def test_reversible_memory_does_not_grow_and_stored_memory_does(points):
    assert growth(points, "reversible") == 1.0
    assert growth(points, "stored") == pytest.approx(4, rel=0.15)
    assert growth(points, "checkpointed") > 2 > growth(points, "square root") > 1
    deepest = {p.way: p for p in points if p.layers == 16}
    assert set(deepest) == set(WAYS)
    assert deepest["reversible"].saved < deepest["square root"].saved < deepest["checkpointed"].saved
    assert deepest["reversible"].peak < deepest["square root"].peak < deepest["stored"].peak


class Flops(TorchDispatchMode):
    """Counts the FLOPs of everything run inside."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize(("way", "forwards"), [("stored", 3), ("reversible", 4)])
def test_the_price_is_one_more_forward_pass(way, forwards):
    """A backward pass is two forward passes, and one more where everything is computed anew."""
    model = Gpt(Shape(layers=16, width=64, context=64))
    model.way = way
    tokens = torch.randint(0, 128, (8, 65))
    loss(model, tokens).backward()  # the first run also checks the sequence
    with Flops() as once:
        loss(model, tokens)
    with Flops() as step:
        loss(model, tokens).backward()
    assert step.total / once.total == pytest.approx(forwards, rel=0.005)


def test_times_are_measured(points):
    assert all(p.step > 0 and p.forward > 0 for p in points)


@pytest.mark.parametrize(("precision", "lecture"), [("fp64", 7e-14), ("fp32", 1e-5), ("fp16", 8e-2)])
def test_the_rebuilt_input_at_48_layers_section_20b(precision, lecture):
    """The lecture's own toy layers are not described in full: the order of magnitude must agree."""
    ours = measure.rebuilt([48], seeds=2)[0].error[precision]
    assert lecture / 10 < ours < lecture * 10


def test_errors_grow_with_depth_except_in_fixed_point():
    few, many = measure.rebuilt([6, 48], seeds=2)
    for precision in measure.PRECISIONS:
        assert many.error[precision] > few.error[precision] > 0
    assert many.error["fixed point"] == few.error["fixed point"] == 0


def test_twins_learn_alike_and_seeds_differ():
    shape = Shape(layers=2, width=16, heads=2, context=32)
    runs = {way: [measure.train(way, shape, seed=s, steps=40, batch=4) for s in (0, 1)] for way in ("stored", "reversible")}
    found = agreement(runs["stored"], runs["reversible"])
    assert found.within
    assert found.pairs < 0.1 * found.noise
    first, *_, last = runs["reversible"][0].training
    assert last < first


def test_the_text_is_english():
    tokens = text.python_reference()
    words = bytes(tokens.tolist()).decode()
    assert "the expression" in words
    assert words.count(" the ") > 3000


def test_a_pass_of_another_length_shows_as_disagreement():
    shape = Shape(layers=1, width=8, heads=1, context=16)
    few, many = ([measure.train("stored", shape, seed=s, steps=n, batch=2) for s in (0, 1, 2)] for n in (2, 60))
    assert not agreement(few, many).within
