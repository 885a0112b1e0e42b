"""Reversible sequences side by side on the same layers: ours, RevTorch and reformer-pytorch.

Needs pip install 'rackmath[lab]' revtorch reformer-pytorch in an environment of its own; prints a Markdown table.
Times are processor time of one thread, the packages in turns, the least of several; memory is what the allocator
handed out at once. Gradients are compared with those of the same network run with stored activations in FP64.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from importlib.metadata import version

import torch
from reformer_pytorch.reversible import ReversibleSequence as Reformer
from revtorch import ReversibleBlock
from revtorch import ReversibleSequence as RevTorch
from torch import Tensor, nn

from rackmath.experiments.measure import best_device, made, one_thread, peak_bytes, seconds
from rackmath.experiments.model import Attention, Mlp, Shape
from rackmath.experiments.reversible import ReversibleSequence

SHAPE = Shape(layers=12, width=128, heads=4, context=128)
BATCH, REPEATS = 8, 7

Step = Callable[[], None]


def layers(shape: Shape, dtype: torch.dtype) -> list[tuple[nn.Module, nn.Module]]:
    torch.manual_seed(0)
    return [(Attention(shape).to(dtype), Mlp(shape).to(dtype)) for _ in range(shape.layers)]


def ways(pairs: list[tuple[nn.Module, nn.Module]]) -> dict[str, nn.Module]:
    """Each package's sequence over layers of its own with the same numbers in them."""
    mine = [copy.deepcopy(pairs) for _ in range(4)]
    ours, stored = ReversibleSequence(mine[0]), ReversibleSequence(mine[1])
    stored.forward = stored.stored  # type: ignore[method-assign]
    return {
        "activations stored": stored,
        "rackmath": ours,
        f"RevTorch {version('revtorch')}": RevTorch(nn.ModuleList(ReversibleBlock(f, g, split_along_dim=2) for f, g in mine[2])),
        f"reformer-pytorch {version('reformer-pytorch')}": Reformer(mine[3]),
    }


def gradients(net: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    net.zero_grad()
    net(x).square().mean().backward()
    return [x.grad, *(p.grad for p in net.parameters())]


def worst(found: list[Tensor], right: list[Tensor]) -> float:
    """Largest error of a gradient over the largest entry of the right one."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, right, strict=True) if b.abs().max())


def main() -> None:
    device = best_device()
    exact = {name: net.to(device) for name, net in ways(layers(SHAPE, torch.float64)).items()}
    nets = {name: net.to(device) for name, net in ways(layers(SHAPE, torch.float32)).items()}
    x = torch.randn(BATCH, SHAPE.context, 2 * SHAPE.width, device=device)
    right = gradients(exact["activations stored"], x.double())
    rows = {}
    with one_thread():
        for name, net in nets.items():
            errors = [worst(gradients(n, x.to(t)), right) for n, t in ((exact[name], torch.float64), (net, x.dtype))]
            net.zero_grad()
            rows[name] = (
                *errors,
                peak_bytes(lambda n=net: n(x.clone().requires_grad_()).square().mean().backward(), device),  # type: ignore[misc]
            )
        times: dict[str, list[float]] = {name: [] for name in nets}
        for _ in range(REPEATS):
            for name, net in nets.items():
                times[name].append(seconds(lambda n=net: gradients(n, x), device))  # type: ignore[misc]
    base = min(times["activations stored"])
    here = made()
    sizes = f"{SHAPE.layers} layers of width {SHAPE.width}, {BATCH} x {SHAPE.context} tokens"
    print(f"{sizes}; {here.machine}, torch {here.torch}, {here.date}\n")
    print("| | held at once | step | against stored | gradient error FP64 | FP32 |\n|---|---|---|---|---|---|")
    for name, (double, single, peak) in rows.items():
        least = min(times[name])
        memory, time = f"{peak / 1e6:.1f} MB", f"{least * 1e3:.0f} ms | {least / base:.2f}x"
        print(f"| {name} | {memory} | {time} | {double:.1e} | {single:.1e} |")
    spread = statistics.median(max(t) / min(t) for t in times.values())
    print(f"\nLargest over least time of a package's runs: {spread:.2f} (median).")


if __name__ == "__main__":
    main()
