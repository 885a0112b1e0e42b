"""Reversible sequences for PyTorch: a Feistel network whose rounds are any modules, trained without its activations.

A round takes (a, b) to (b, a + r(b)). It inverts for any r, because b is handed on unchanged; the swap lets the next
round change it. A pair (f, g) makes two rounds, y1 = x1 + f(x2) and y2 = x2 + g(y1), as in the RevNet (Gomez et al.
2017, arXiv 1707.04585). The backward pass rebuilds each round's input from its output, so that only the output of the
last round is stored, whatever the depth; the price is one more forward pass: (2F + B) / (F + B), 4/3 where B = 2F.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from ..errors import BadInput

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class ReversibleSequence(nn.Module):
    """Rounds f1, g1, f2, g2, ... on the two halves of a tensor along `dim`.

    Use it like any module: `y = sequence(x, *context)`; each f and g is called with one half and the context, which
    may hold tensors with gradients (a memory to attend to) or anything else (a mask, None). It must return the shape
    and the dtype it was given, or a narrower dtype under autocast. `inverse` goes back.

    `fraction_bits`: hold the halves as integers, multiples of 2^-fraction_bits, to which the rounded results of f and
    g are added. The inverse is then exact to the bit, not only up to rounding; an int64 tensor in gives one out.
    Gradients take the rounding for the identity.

    The first call with gradients runs `check`. Random numbers of f and g (dropout) are drawn alike when they are
    recomputed, buffers (running statistics) are updated once, and autocast is as it was. Gradients of all parameters
    arrive together at the end of the sequence's backward pass. A gradient of a gradient is refused.

    >>> _ = torch.manual_seed(0)
    >>> pairs = [(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4), nn.Tanh())) for _ in range(3)]
    >>> sequence = ReversibleSequence(pairs).double()
    >>> x = torch.randn(2, 8, dtype=torch.float64)
    >>> bool((sequence.inverse(sequence(x)) - x).abs().max() < 1e-12)
    True
    """

    def __init__(self, pairs: Iterable[tuple[nn.Module, nn.Module]], *, dim: int = -1, fraction_bits: int | None = None) -> None:
        super().__init__()
        found = list(pairs)
        for i, pair in enumerate(found):
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(m, nn.Module) for m in pair):
                raise BadInput(f"pair {i + 1} is {type(pair).__name__}; give two torch modules (f, g)")
        if fraction_bits is not None and fraction_bits not in range(49):
            raise BadInput(f"fraction_bits = {fraction_bits!r} is out of range; give a whole number from 0 to 48")
        self.rounds = nn.ModuleList(m for pair in found for m in pair)
        self.dim = dim
        self.fraction_bits = fraction_bits
        self.checked = False

    def extra_repr(self) -> str:
        return f"dim={self.dim}" + (f", fraction_bits={self.fraction_bits}" if self.fraction_bits is not None else "")

    def forward(self, x: Tensor, *context: Any) -> Tensor:
        """The rounds in order; with gradients, only the result is kept for the backward pass."""
        self._accepts(x)
        asks = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in (x, *context, *self.rounds.parameters()))
        return self._trained(x, *context) if asks else self._run(x, context)

    def inverse(self, y: Tensor, *context: Any) -> Tensor:
        """The input whose result is y: exact with `fraction_bits`, else up to rounding.

        In fixed point a floating y must hold the integers exactly: below 2^24 in float32, 2^53 in float64.
        """
        self._accepts(y)
        before = _random_state(y.device)
        call = self._call(y, context)
        a, b = call.enter(y)
        for i in reversed(range(len(self.rounds))):
            a, b = b - call.step(call.result(i, call.value(a))), a
        if not _same(before, _random_state(y.device)):
            raise BadInput("a round drew random numbers (dropout?), so it has no inverse; call eval() first")
        return call.leave(a, b)

    def stored(self, x: Tensor, *context: Any) -> Tensor:
        """The same network run as any other is, with every activation stored: for comparison."""
        self._accepts(x)
        if self.fraction_bits is not None:
            raise BadInput("integers carry no gradients through stored activations; leave fraction_bits out")
        return self._run(x, context)

    def check(self, x: Tensor, *context: Any) -> None:
        """Run each round twice on the same input with the same random numbers; refuse what cannot be recomputed.

        Refused are results that differ, inputs changed in place, and gradients that would be lost because they
        belong neither to a parameter nor to an argument. Random numbers and buffers are left as they were.
        """
        before = _random_state(x.device)
        try:
            with torch.no_grad():
                self._check(self._call(x, tuple(_detached(c) for c in context)), x)
        finally:
            _set_random_state(before, x.device)
        self.checked = True

    def _check(self, call: _Call, x: Tensor) -> None:
        a, b = call.enter(x.detach())
        for i in range(len(self.rounds)):
            given, buffers = call.value(b), _buffers(self.rounds[i])
            kept, start = given.clone(), _random_state(x.device)
            first = call.result(i, given, buffers)
            after = _random_state(x.device)
            if not _alike(given, kept, exactly=True):
                raise BadInput(f"round {i + 1} changes its input in place; leave inplace=True out of it")
            _set_random_state(start, x.device)
            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_itself, _itself):
                leaf = given.detach().requires_grad_()
                second = call.result(i, leaf, buffers)
            _set_random_state(after, x.device)
            if not _alike(first, second.detach(), exactly=call.bits is not None):
                raise BadInput(
                    f"round {i + 1} gives another result for the same input and random numbers; its input cannot"
                    " be recomputed, so make it deterministic or keep it outside the sequence"
                )
            if _foreign(second, [leaf, *self.rounds[i].parameters()]):
                raise BadInput(
                    f"round {i + 1} uses a tensor with a gradient that is not a parameter of it, so that gradient"
                    " would be lost; register it as a parameter or pass it to the sequence as an argument"
                )
            a, b = b, a + call.step(first)

    def _accepts(self, x: Tensor) -> None:
        whole = self.fraction_bits is not None and x.dtype == torch.int64
        if x.dtype not in FLOATS and not whole:
            raise BadInput(f"the input is {_name(x.dtype)}; give floating point, or int64 with fraction_bits")
        if not -x.dim() <= self.dim < x.dim():
            raise BadInput(f"the input has {x.dim()} dimensions and none numbered {self.dim}; give another dim")
        if x.shape[self.dim] % 2:
            raise BadInput(
                f"dimension {self.dim} of the input has {x.shape[self.dim]} channels, which is odd; two equal halves"
                " are needed, so give an even number"
            )

    def _call(self, x: Tensor, context: tuple[Any, ...]) -> _Call:
        dtype = x.dtype
        if x.dtype == torch.int64:
            dtype = next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.get_default_dtype())
        return _Call(
            rounds=tuple(self.rounds),
            context=context,
            dim=self.dim,
            bits=self.fraction_bits,
            dtype=dtype,
            device=x.device,
            whole=x.dtype == torch.int64,
            autocast=_Autocast.now(x.device.type),
        )

    def _run(self, x: Tensor, context: tuple[Any, ...]) -> Tensor:
        call = self._call(x, context)
        a, b = call.enter(x)
        for i in range(len(self.rounds)):
            a, b = b, a + call.step(call.result(i, call.value(b)))
        return call.leave(a, b)

    @torch.compiler.disable(recursive=False)
    def _trained(self, x: Tensor, *context: Any) -> Tensor:
        if not self.checked:
            self.check(x, *context)
        parameters = [p for p in self.rounds.parameters() if p.requires_grad]
        places = {id(p): len(context) + i for i, p in enumerate(parameters)}
        result: Tensor = _Rounds.apply(self._call(x, context), places, x, *context, *parameters)
        return result


@dataclass(kw_only=True)
class _Call:
    """One run through the rounds: what it was given, and what it takes to run a round again."""

    rounds: tuple[nn.Module, ...]
    context: tuple[Any, ...]
    dim: int
    bits: int | None
    dtype: torch.dtype
    device: torch.device
    whole: bool
    autocast: _Autocast
    random: list[list[Tensor] | None] = field(default_factory=list)

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two halves, as integers in fixed point."""
        a, b = x.chunk(2, dim=self.dim)
        return (a, b) if self.bits is None or self.whole else (self.step(a), self.step(b))

    def leave(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b] if self.whole else [self.value(a), self.value(b)], dim=self.dim)

    def value(self, half: Tensor) -> Tensor:
        """A half as the rounds see it."""
        return half if self.bits is None else (half.double() * 2.0**-self.bits).to(self.dtype)

    def step(self, result: Tensor) -> Tensor:
        """What a round's result adds to the other half."""
        if self.bits is None:
            return result
        if result.numel() and not bool(result.abs().amax() < 2.0 ** (62 - self.bits)):
            raise BadInput(f"a value is not finite or above 2^{62 - self.bits}, which fixed point cannot hold")
        return (result.double() * 2.0**self.bits).round().long()

    def result(self, i: int, given: Tensor, buffers: dict[str, Tensor] | None = None) -> Tensor:
        """What round i makes of a half, held to its shape and dtype."""
        with self.autocast.again():
            arguments = (given, *self.context)
            out = functional_call(self.rounds[i], buffers, arguments) if buffers else self.rounds[i](*arguments)
        if not isinstance(out, Tensor) or out.shape != given.shape:
            made = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise BadInput(
                f"round {i + 1} turns {tuple(given.shape)} into {made}; f and g must return the shape they are given,"
                " so keep layers that change it outside the sequence"
            )
        if out.dtype not in FLOATS or torch.promote_types(out.dtype, self.dtype) != self.dtype:
            raise BadInput(
                f"round {i + 1} turns {_name(self.dtype)} into {_name(out.dtype)}; f and g must return the dtype they"
                " are given, so convert the input or the modules"
            )
        return out

    @contextmanager
    def drawn_again(self, i: int) -> Iterator[None]:
        """Random numbers as round i drew them; those of everyone else go on as if nothing had happened."""
        kept = self.random[i]
        if kept is None:
            yield
            return
        now = _random_state(self.device)
        _set_random_state(kept, self.device)
        try:
            yield
        finally:
            _set_random_state(now, self.device)


class _Rounds(torch.autograd.Function):
    """All rounds as one operation that saves its output alone (and references to parameters and context)."""

    @staticmethod
    def forward(ctx: Any, call: _Call, places: dict[int, int], x: Tensor, *rest: Any) -> Tensor:
        a, b = call.enter(x)
        before = _random_state(call.device)
        for i in range(len(call.rounds)):
            a, b = b, a + call.step(call.result(i, call.value(b)))
            after = _random_state(call.device)
            call.random.append(None if _same(before, after) else before)
            before = after
        y = call.leave(a, b)
        ctx.call, ctx.places = call, places
        ctx.tensors = [i for i, t in enumerate(rest) if isinstance(t, Tensor)]
        call.context = tuple(None if isinstance(c, Tensor) else c for c in call.context)
        state = y if call.bits is None else torch.cat([a, b], dim=call.dim)
        ctx.save_for_backward(state, *(rest[i] for i in ctx.tensors))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
        kept: _Call = ctx.call
        places: dict[int, int] = ctx.places  # of parameters by identity, among the arguments after x
        state, *saved = ctx.saved_tensors  # raises where a parameter has been changed since the forward pass
        rest = dict(zip(ctx.tensors, saved, strict=True))
        needed = ctx.needs_input_grad[3:]
        wanted = {i: rest[i].detach().requires_grad_() for i in range(len(kept.context)) if needed[i]}
        context = tuple(wanted.get(i, rest.get(i, c)) for i, c in enumerate(kept.context))
        call = replace(kept, context=context)
        own = [[p for p in r.parameters() if id(p) in places] for r in call.rounds]
        first = 0 if ctx.needs_input_grad[2] or wanted else next(i for i, ps in enumerate(own) if ps)
        grads: dict[int, Tensor] = {}
        a, b = state.chunk(2, dim=call.dim)
        da, db = dy.chunk(2, dim=call.dim)
        for i in reversed(range(first, len(call.rounds))):
            given = call.value(a).detach().requires_grad_()
            swapped, leaves = _stand_ins(call.rounds[i], own[i])
            with torch.enable_grad(), call.drawn_again(i):
                result = call.result(i, given, swapped | _buffers(call.rounds[i]))
            leaves = [given, *wanted.values(), *leaves]
            if swapped and _foreign(result, leaves):
                raise BadInput(f"round {i + 1} keeps references to its parameters; take the hooks off its parameters")
            found: Sequence[Tensor | None] = [None] * len(leaves)
            if result.requires_grad:
                found = torch.autograd.grad(result, leaves, db.to(result.dtype), allow_unused=True)
            for place, grad in zip([*wanted, *(places[id(p)] for p in own[i])], found[1:], strict=True):
                if grad is not None:
                    grads[place] = grads[place] + grad if place in grads else grad
            a, b = b - call.step(result.detach()), a
            da, db = db, da if found[0] is None else da + found[0]
        dx = torch.cat([da, db], dim=call.dim) if ctx.needs_input_grad[2] else None
        return (None, None, dx, *(grads.get(i) for i in range(len(needed))))


@dataclass(frozen=True, kw_only=True)
class _Autocast:
    """Autocast as it stood; weights cast without gradients are never cached for those who need them."""

    device: str
    enabled: bool
    dtype: torch.dtype

    @classmethod
    def now(cls, device: str) -> _Autocast:
        return cls(device=device, enabled=torch.is_autocast_enabled(device), dtype=torch.get_autocast_dtype(device))

    def again(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.enabled, cache_enabled=False)


def _alike(one: Tensor, other: Tensor, *, exactly: bool) -> bool:
    """Equal, up to what another order of summation does unless exactly; what is not a number equals its like."""
    eps = torch.finfo(one.dtype).eps
    one, other = one.double(), other.double()
    real = one.isfinite()
    if not torch.equal(real, other.isfinite()):
        return False
    most = float(one[real].abs().amax()) if bool(real.any()) else 0.0
    loose = 0.0 if exactly else 16 * eps * most
    return bool(torch.allclose(one, other, rtol=0, atol=loose, equal_nan=True))


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the buffers of a module in training, for a run that must not update them a second time."""
    return {name: b.clone() for name, b in module.named_buffers()} if module.training else {}


def _stand_ins(module: nn.Module, asked: list[nn.Parameter]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Parameters to differentiate by: themselves, or others over the same memory where a hook is registered.

    A hook must see the gradient once, when it arrives at the parameter itself.
    """
    if not any(p._backward_hooks for p in asked):
        return {}, list(asked)
    made = {id(p): p.detach().requires_grad_() for p in asked}
    return {n: made[id(p)] for n, p in module.named_parameters() if id(p) in made}, list(made.values())


def _foreign(result: Tensor, known: Iterable[Tensor]) -> bool:
    """Whether the graph behind a result has leaves beyond the known ones."""
    expected = {id(t) for t in known}
    seen, todo = set(), [result.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in expected:
            return True
        todo += [following for following, _ in node.next_functions]
    return False


def _random_state(device: torch.device) -> list[Tensor]:
    """The state of the generators that modules on this device draw from."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def _set_random_state(states: Sequence[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], device)


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
