"""Reversible sequences: gradients of the same network run normally, exact inverses, and all they must live with."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from rackmath.errors import BadInput
from rackmath.experiments.model import Gpt, Shape, loss
from rackmath.experiments.reversible import ReversibleSequence

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Largest error of a gradient over its largest entry, for six pairs."""


def sequence(d=8, pairs=6, dropout=0.0, **options):
    torch.manual_seed(0)
    return ReversibleSequence(
        [
            (nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Dropout(dropout)), nn.Sequential(nn.Linear(d, d), nn.Tanh()))
            for _ in range(pairs)
        ],
        **options,
    )


def gradients(run, x, module, *more):
    torch.manual_seed(7)
    y = run(x, *more)
    (y.float().square() * torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)).sum().backward()
    found = [x.grad, *(p.grad for p in module.parameters()), *(m.grad for m in more)]
    x.grad = None
    module.zero_grad()
    for m in more:
        m.grad = None
    return y.detach(), found


def apart(one, other):
    assert [g is None for g in one] == [g is None for g in other]
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_those_of_the_same_network_run_normally(dtype, dropout):
    net = sequence(dropout=dropout).to(dtype)
    x = torch.randn(4, 16).to(dtype).requires_grad_()
    y, ours = gradients(net, x, net)
    same, theirs = gradients(net.stored, x, net)
    assert torch.equal(y, same)
    assert apart(ours, theirs) < TOLERANCE[dtype]


def test_numerical_gradients():
    net = sequence(4, 2).double()
    x = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x,))


@pytest.mark.parametrize("dim", [1, 2, -1])
def test_images_are_split_along_any_dimension(dim):
    net = ReversibleSequence([(nn.Identity(), nn.Tanh())], dim=dim).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(net.inverse(net(x)), x, rtol=0, atol=1e-14)
    a, b = x.chunk(2, dim=dim)
    torch.testing.assert_close(net(x), torch.cat([a + b, b + torch.tanh(a + b)], dim=dim))


def test_one_pair_is_two_rounds_of_a_feistel_cipher():
    """On integers, with the exclusive or of a cipher replaced by addition: computed here by hand."""
    f, g = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(f.weight, 3.0)
    nn.init.constant_(g.weight, -2.0)
    net = ReversibleSequence([(f, g)], fraction_bits=0)
    y = net(torch.tensor([[5, 7]]))
    assert y.tolist() == [[26, -45]]  # 5 + 3 x 7 = 26, 7 - 2 x 26 = -45
    assert net.inverse(y).tolist() == [[5, 7]]


@pytest.mark.parametrize("bits", [0, 8, 24])
def test_fixed_point_inverts_to_the_bit(bits):
    net = sequence(16, 24, fraction_bits=bits).eval()
    integers = torch.randint(-(2**30), 2**30, (16, 32))
    assert torch.equal(net.inverse(net(integers)), integers)
    x = (torch.randn(16, 32, dtype=torch.float64) * 2**bits).round() / 2**bits
    wide = net.double()
    assert torch.equal(wide.inverse(wide(x)), x)


def test_floats_do_not_invert_to_the_bit_where_integers_do():
    net = sequence(16, 24)
    x = (torch.randn(16, 32) * 2**16).round() / 2**16
    assert not torch.equal(net.inverse(net(x)), x)
    net.fraction_bits = 16
    assert torch.equal(net.inverse(net(x)), x)


def test_fixed_point_trains_with_rounding_as_the_identity():
    net = sequence(8, 3, fraction_bits=12).double()
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)

    def rounded(value):
        return value + ((value * 2**12).round() / 2**12 - value).detach()

    def plain(x):
        a, b = map(rounded, x.chunk(2, -1))
        for r in net.rounds:
            a, b = b, a + rounded(r(b))
        return torch.cat([a, b], -1)

    y, ours = gradients(net, x, net)
    same, theirs = gradients(plain, x, net)
    assert torch.equal(y, same)
    assert apart(ours, theirs) < 1e-9


def test_nothing_but_the_output_is_saved():
    for pairs in (2, 12):
        net, saved = sequence(pairs=pairs), []
        known = {p.data_ptr() for p in net.parameters()}
        x = torch.randn(4, 16, requires_grad=True)
        net.check(x)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=saved: to.append(t) or t, lambda t: t):
            y = net(x)
        activations = [t for t in saved if t.data_ptr() not in known]
        assert [t.data_ptr() for t in activations] == [y.data_ptr()]


def test_random_numbers_outside_go_on_as_if_nothing_were_recomputed():
    net, x = sequence(dropout=0.5), torch.randn(4, 16, requires_grad=True)
    drawn = []
    for run in (net, net.stored):
        torch.manual_seed(3)
        y = run(x)
        between = torch.rand(1)
        y.sum().backward()
        drawn.append((between, torch.rand(1)))
    assert drawn[0] == drawn[1]


def test_autocast_is_as_it_was_and_leaves_no_weights_without_gradients():
    shared = nn.Linear(8, 8)
    net = nn.Sequential(ReversibleSequence([(shared, nn.Linear(8, 8))] * 2), nn.Unflatten(-1, (2, 8)), shared)
    x = torch.randn(4, 16, requires_grad=True)

    def run(inner, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net[2](net[1](inner(x)))

    y, ours = gradients(lambda x: run(net[0], x), x, net)
    same, theirs = gradients(lambda x: run(net[0].stored, x), x, net)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, same)
    assert apart(ours, theirs) < 0.02


def test_normalisation_by_batch_updates_its_statistics_once():
    def net():
        return ReversibleSequence([(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Tanh())])

    one = net()
    other = copy.deepcopy(one)
    x = torch.randn(16, 8, requires_grad=True)
    one(x).sum().backward()
    other.stored(x).sum().backward()
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_sequence_used_twice_with_shared_rounds():
    r = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    net = ReversibleSequence([(r, r), (r, nn.Linear(8, 8))]).double()
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    _, ours = gradients(lambda x: net(net(x).flip(-1)), x, net)
    _, theirs = gradients(lambda x: net.stored(net.stored(x).flip(-1)), x, net)
    assert apart(ours, theirs) < 1e-9


@pytest.mark.parametrize("frozen", [[0, 1, 2], [5], [0, 2, 4, 6, 8, 10], list(range(1, 12))])
@pytest.mark.parametrize("asks", [True, False])
def test_any_subset_of_parameters_may_ask_for_gradients(frozen, asks):
    net = sequence().double()
    for i in frozen:
        net.rounds[i].requires_grad_(False)
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=asks)
    assert apart(*(gradients(run, x, net)[1] for run in (net, net.stored))) < 1e-9


def test_without_gradients_nothing_is_recorded():
    net, x = sequence(), torch.randn(4, 16)
    with torch.no_grad():
        assert net(x).grad_fn is None
    with torch.inference_mode():
        assert net(x).is_inference()
    net.requires_grad_(False)
    assert not net(x).requires_grad


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.into = nn.Linear(8, 8)

    def forward(self, x, memory, scale):
        return torch.tanh(self.into(x) @ memory) * scale


def test_gradients_reach_the_context():
    net = ReversibleSequence([(Attends(), Attends()) for _ in range(3)]).double()
    memory = torch.randn(8, 8, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    _, ours = gradients(lambda x, m: net(x, m, 0.5), x, net, memory)
    _, theirs = gradients(lambda x, m: net.stored(x, m, 0.5), x, net, memory)
    assert apart(ours, theirs) < 1e-9
    torch.testing.assert_close(net.inverse(net(x, memory, 0.5), memory, 0.5), x)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_around_and_inside(reentrant):
    class Checkpointed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=reentrant)

    net = sequence(dropout=0.2).double()
    inside = ReversibleSequence(list(zip(*[iter(map(Checkpointed, net.rounds))] * 2, strict=True)))
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    _, theirs = gradients(net.stored, x, net)
    _, around = gradients(lambda x: checkpoint(net, x, use_reentrant=reentrant), x, net)
    assert apart(around, theirs) < 1e-9
    if not reentrant:  # that kind hands parameters no gradients within torch.autograd.grad
        assert apart(gradients(inside, x, net)[1], theirs) < 1e-9


def test_sequences_nest():
    inner = sequence(4, 2).double()
    net = ReversibleSequence([(inner, nn.Linear(8, 8).double())] * 2)
    x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    _, ours = gradients(net, x, net)
    _, theirs = gradients(lambda x: ReversibleSequence.stored(net, x), x, net)
    assert apart(ours, theirs) < 1e-9


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by the compiler itself
@pytest.mark.parametrize("inside", [True, False])
def test_compiled(inside):
    """Rounds may be compiled, and a compiled model may hold a sequence, which breaks its graph."""
    net, x = sequence(pairs=2), torch.randn(4, 16, requires_grad=True)
    _, theirs = gradients(net, x, net)
    torch.compiler.reset()
    if inside:
        f, g, h, k = (torch.compile(r, backend="aot_eager") for r in net.rounds)
        run = ReversibleSequence([(f, g), (h, k)])
    else:
        run = torch.compile(net, backend="aot_eager")
    assert apart(gradients(run, x, net)[1], theirs) < 1e-5


def test_hooks_of_parameters_and_gradients_by_name():
    net, x = sequence(pairs=2).double(), torch.randn(4, 16, dtype=torch.float64)
    weight = net.rounds[0][1].weight
    (alone,) = torch.autograd.grad(net(x).sum(), [weight])
    weight.register_hook(lambda g: 3 * g)
    net(x).sum().backward()
    torch.testing.assert_close(weight.grad, 3 * alone)


def test_a_graph_kept_is_walked_twice():
    net, x = sequence(pairs=2).double(), torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    y = net(x).sum()
    y.backward(retain_graph=True)
    once = x.grad.clone()
    y.backward()
    torch.testing.assert_close(x.grad, 2 * once)


def test_parameters_changed_in_between_are_noticed():
    net, x = sequence(pairs=2), torch.randn(4, 16, requires_grad=True)
    y = net(x).sum()
    with torch.no_grad():
        net.rounds[0][1].weight.add_(1)
    with pytest.raises(RuntimeError, match="inplace operation"):
        y.backward()


def test_gradients_of_gradients_are_refused():
    net, x = sequence(pairs=1), torch.randn(4, 16, requires_grad=True)
    (g,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


@pytest.mark.parametrize("way", ["checkpointed", "square root", "reversible"])
def test_a_transformer_trains_alike_in_every_way(way):
    torch.manual_seed(0)
    net = Gpt(Shape(layers=5, width=32, context=16, dropout=0.1)).double()
    tokens = torch.randint(0, 128, (2, 17))
    found = []
    for each in ("stored", way):
        net.way = each
        torch.manual_seed(1)
        loss(net, tokens).backward()
        found.append([p.grad for p in net.parameters()])
        net.zero_grad()
    assert apart(*found) < 1e-9


class Twice(nn.Module):
    """Draws on a counter: another result on every call."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


class Capturing(nn.Module):
    def __init__(self, tensor):
        super().__init__()
        self.kept = [tensor]

    def forward(self, x):
        return x * self.kept[0]


class Made(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.mark.parametrize(
    ("f", "x", "words"),
    [
        (nn.Linear(4, 4), torch.randn(2, 7), "7 channels, which is odd"),
        (nn.Linear(4, 6), torch.randn(2, 8), r"round 1 turns \(2, 4\) into \(2, 6\)"),
        (Made(lambda x: x.sum(0, keepdim=True)), torch.randn(2, 8), "return the shape"),
        (Made(lambda x: (x, x)), torch.randn(2, 8), "into tuple"),
        (nn.Linear(4, 4), torch.ones(2, 8, dtype=torch.int32), "the input is int32"),
        (nn.Linear(4, 4), torch.ones(2, 8, dtype=torch.int64), "int64 with fraction_bits"),
        (Made(lambda x: x.double()), torch.randn(2, 8), "turns float32 into float64"),
        (Made(lambda x: x > 0), torch.randn(2, 8), "turns float32 into bool"),
        (Twice(), torch.randn(2, 8), "round 1 gives another result"),
        (nn.ReLU(inplace=True), torch.randn(2, 8), "changes its input in place"),
        (Capturing(torch.ones(4, requires_grad=True)), torch.randn(2, 8), "gradient would be lost"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(64, 64)), torch.randn(2, 128), "gives another result"),
    ],
)
def test_bad_input_is_one_sentence(f, x, words):
    net = ReversibleSequence([(f, nn.Linear(4, 4))])
    with pytest.raises(BadInput, match=words) as caught:
        net(x.requires_grad_() if x.is_floating_point() else x)
    assert "\n" not in str(caught.value)


def test_more_bad_input():
    with pytest.raises(BadInput, match="two torch modules"):
        ReversibleSequence([torch.tanh])
    with pytest.raises(BadInput, match="0 to 48"):
        ReversibleSequence([], fraction_bits=60)
    with pytest.raises(BadInput, match="whole number"):
        ReversibleSequence([], fraction_bits=1.5)
    with pytest.raises(BadInput, match="call eval"):
        sequence(dropout=0.5).inverse(torch.randn(4, 16))
    with pytest.raises(BadInput, match="not finite"):
        sequence(fraction_bits=8)(torch.full((4, 16), torch.inf))
    with pytest.raises(BadInput, match="unknown way"):
        Gpt(Shape(), "backwards")
    with pytest.raises(BadInput, match="no multiple"):
        Gpt(Shape(width=30))
    with pytest.raises(BadInput, match="exceed the context"):
        Gpt(Shape(context=4))(torch.zeros(1, 5, dtype=torch.long))


def test_not_a_number_passes_through():
    x = torch.randn(4, 16)
    x[0, 0] = torch.nan
    assert sequence()(x.requires_grad_()).isnan().any()


def test_an_ordinary_training_loop_learns():
    net = nn.Sequential(nn.Linear(4, 16), sequence(8, 4), nn.Linear(16, 2))
    x = torch.randn(256, 4)
    target = (x[:, 0] * x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    first = last = 0.0
    for step in range(120):
        optimizer.zero_grad()
        value = functional.cross_entropy(net(x), target)
        value.backward()
        optimizer.step()
        first, last = (value.item() if step == 0 else first), value.item()
    assert last < 0.5 * first


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_dropout_and_autocast_on_cuda():
    net = sequence(dropout=0.3).cuda()
    x = torch.randn(4, 16, device="cuda", requires_grad=True)

    def run(inner):
        def cast(x):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                return inner(x).cpu()

        return cast

    assert apart(gradients(run(net), x, net)[1], gradients(run(net.stored), x, net)[1]) < 0.05
