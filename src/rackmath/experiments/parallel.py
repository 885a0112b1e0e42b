"""Networks looked at as ciphers are: how a difference spreads round by round, and which difference breaks them.

A cipher's designer wants one flipped bit to flip half of all bits; a network's designer wants differences to stay
tame. The same questions are put to both: the share of signs that flip after each round (avalanche), the largest
stretch of a difference (the Jacobian's spectral norm), and the one input difference with the likeliest effect (the
best differential), beside the fast gradient sign, which fits a difference to each image (Goodfellow et al. 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp
from torch.nn import functional

from ..progress import Hear, tell
from .avalanche import avalanche
from .ciphers import cipher
from .digits import KINDS, PIXELS, Digits, DigitsMixer, Kind, accuracy, digits, train
from .measure import made, one_thread
from .results import Attack, Differential, Mixing, Net, Parallel


def spread(model: DigitsMixer, images: Tensor, *, seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Move one random pixel of each image to 0 or 1, the farther, and follow the difference: fields of `Net`."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(images))
    pixels = torch.randint(PIXELS, (len(images),), generator=draw)
    other = images.clone()
    other[rows, pixels] = (other[rows, pixels] < 0.5).to(other.dtype)
    found: dict[str, list[float]] = {"flipped": [], "touched": [], "size": []}
    with torch.no_grad():
        a, b = model.start(images), model.start(other)
        for i in range(len(model.rounds.rounds) + 1):
            mean, apart = a.mean(dim=0), b - a
            found["flipped"].append(float(((a > mean) != (b > mean)).double().mean()))
            found["touched"].append(float((apart.norm(dim=-1) > 0.01 * a.norm(dim=-1)).double().mean()))
            found["size"].append(float((apart.flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)).mean()))
            if i < len(model.rounds.rounds):
                a, b = model.round(i, a), model.round(i, b)
    return {name: tuple(values) for name, values in found.items()}


def spectral_norm(function: Callable[[Tensor], Tensor], at: Tensor, *, steps: int = 30, seed: int = 0) -> float:
    """Largest stretch of a small difference, the median over the rows of `at`, by power iteration on J^T J.

    >>> round(spectral_norm(lambda x: x @ torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(4, 2)), 4)
    3.0
    """
    v = torch.randn(at.shape, generator=torch.Generator().manual_seed(seed), dtype=at.dtype)
    stretch = torch.zeros(len(at))
    _, back = vjp(function, at)
    for _ in range(steps):
        v = v / v.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.dim() - 1)).clamp(min=1e-30)
        _, moved = jvp(function, (at,), (v,))
        stretch = moved.detach().flatten(1).norm(dim=1)
        (v,) = back(moved)
    return float(stretch.median())


def jacobian_norms(model: DigitsMixer, images: Tensor) -> tuple[float, ...]:
    """The spectral norm of each round's Jacobian at the states that the images give."""
    found, state = [], model.start(images).detach()
    for i in range(len(model.rounds.rounds)):
        found.append(spectral_norm(lambda h, i=i: model.round(i, h), state))  # type: ignore[misc]
        state = model.round(i, state).detach()
    return tuple(found)


# --- which difference breaks it -----------------------------------------------------------------------------------


def fast_gradient_sign(model: nn.Module, images: Tensor, labels: Tensor, size: float) -> Tensor:
    """Each image moved by `size` per pixel along the sign of its own loss gradient."""
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(model(x), labels), x)
    return images + size * slope.sign()


def difference_table(model: nn.Module, images: Tensor, differences: Tensor) -> Tensor:
    """Rows: input differences; columns: classes; entries: share of images not of that class before that are after.

    What a difference distribution table is to a substitution box.
    """
    with torch.no_grad():
        before, rows = model(images).argmax(-1), []
        for difference in differences:
            after = model(images + difference).argmax(-1)
            rows.append(torch.stack([_moved(before, after, c) for c in range(10)]))
    return torch.stack(rows)


def _moved(before: Tensor, after: Tensor, towards: int) -> Tensor:
    others = before != towards
    return ((after == towards) & others).sum() / others.sum().clamp(min=1)


def linear_differences(model: nn.Module, images: Tensor, size: float) -> Tensor:
    """For each class, the sign of the mean gradient of its score against the others': the network made linear."""
    x = images.clone().requires_grad_()
    scores = model(x)
    found = []
    for c in range(10):
        (slope,) = torch.autograd.grad(_lead(scores, c).sum(), x, retain_graph=True)
        found.append(size * slope.mean(dim=0).sign())
    return torch.stack(found)


def best_difference(model: nn.Module, images: Tensor, size: float) -> tuple[Tensor, int, float]:
    """The likeliest entry of the table over linear differences, as in cryptanalysis: difference, class, share."""
    tried = linear_differences(model, images, size)
    table = difference_table(model, images, tried)
    row, towards = divmod(int(table.argmax()), 10)
    return tried[row], towards, float(table[row, towards])


def best_differential(model: DigitsMixer, data: Digits, size: float, *, seed: int = 0) -> Differential:
    """The best difference of the images learned from, tried on those left out."""
    best, towards, share = best_difference(model, data.images, size)
    noise = size * torch.randn(32, PIXELS, generator=torch.Generator().manual_seed(seed)).sign()
    with torch.no_grad():
        rises = _lead(model(data.unseen + best), towards) > _lead(model(data.unseen), towards)
    return Differential(
        kind=model.kind,
        size=size,
        towards=towards,
        probability=share,
        unseen=float(difference_table(model, data.unseen, best[None])[0, towards]),
        random=float(difference_table(model, data.unseen, noise).amax(dim=1).mean()),
        rises=float(rises.double().mean()),
    )


def _lead(scores: Tensor, towards: int) -> Tensor:
    """How far the score of one class is above the mean of the other nine."""
    return scores[:, towards] - (scores.sum(-1) - scores[:, towards]) / 9


def attack(model: DigitsMixer, data: Digits, size: float, *, seed: int = 0) -> Attack:
    """The gradient sign of each image, the best difference for all, and random signs, side by side."""
    best, _, _ = best_difference(model, data.images, size)
    x = data.unseen
    noise = size * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).sign()
    moved = fast_gradient_sign(model, x, data.unseen_labels, size)
    with torch.no_grad():
        before = model(x)

        def changed(other: Tensor) -> float:
            return float((model(other).argmax(-1) != before.argmax(-1)).double().mean())

        score = (model(moved) - before).gather(1, data.unseen_labels[:, None]).mean()
        return Attack(
            kind=model.kind,
            size=size,
            gradient_sign=changed(moved),
            differential=changed(x + best),
            random=changed(x + noise),
            score=float(score),
        )


# --- all of it ----------------------------------------------------------------------------------------------------

CIPHERS = ("simon32", "speck32", "present", "aes")


def mixing(name: str) -> Mixing:
    """A cipher's avalanche, round by round."""
    found = avalanche(cipher(name), samples=256)
    return Mixing(name=found.cipher.name, flipped=tuple(found.flipped.tolist()))


def parallel(
    *, epochs: int = 20, sizes: Sequence[float] = (0.05, 0.1, 0.2, 0.3), differential_size: float = 0.2, seed: int = 0, hear: Hear = tell
) -> Parallel:
    """Train a network of each kind on digits and ask of all of them, and of ciphers, how differences spread."""
    data = digits()
    nets, attacks, differentials = [], [], []
    with one_thread():
        for i, kind in enumerate(KINDS):
            torch.manual_seed(seed)
            epoch = count()

            def tick(kind: Kind = kind, i: int = i, epoch: Iterator[int] = epoch) -> None:
                hear((i + next(epoch) / epochs) / len(KINDS), f"training the {kind} network")

            tick()
            trained = train(kind, data, seed=seed, epochs=epochs, tick=tick)
            torch.manual_seed(seed)
            for model, learned in ((DigitsMixer(kind).eval(), False), (trained, True)):
                nets.append(
                    Net(
                        kind=kind,
                        trained=learned,
                        accuracy=accuracy(model, data.unseen, data.unseen_labels),
                        jacobian=jacobian_norms(model, data.unseen[:16]),
                        **spread(model, data.unseen),
                    )
                )
            attacks += [attack(trained, data, size, seed=seed) for size in sizes]
            differentials.append(best_differential(trained, data, differential_size, seed=seed))
        hear(1.0, "the ciphers")
    return Parallel(
        made=made(),
        nets=tuple(nets),
        attacks=tuple(attacks),
        differentials=tuple(differentials),
        ciphers=tuple(mixing(name) for name in CIPHERS),
    )
