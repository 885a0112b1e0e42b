"""Differences in networks: linear cases with known answers, and the findings on trained and untrained networks."""

import pytest
import torch
from torch import nn

from rackmath.experiments import parallel as lab
from rackmath.experiments.digits import PIXELS, DigitsMixer, accuracy, digits, train


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def trained(data):
    return train("residual", data, epochs=6, layers=2, width=8)


def test_spectral_norm_is_the_largest_singular_value():
    torch.manual_seed(0)
    matrix = torch.randn(6, 6)
    assert lab.spectral_norm(lambda x: x @ matrix, torch.zeros(3, 6), steps=200) == pytest.approx(
        float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-4
    )


def test_an_untouched_network_stretches_nothing():
    model = DigitsMixer("residual", layers=2)
    for module in model.rounds.rounds:
        for p in module.parameters():
            nn.init.zeros_(p)
    images = torch.rand(8, PIXELS)
    assert lab.jacobian_norms(model, images) == pytest.approx([1.0] * 4)
    found = lab.spread(model, images)
    assert found["touched"] == pytest.approx([1 / PIXELS] * 5)


def test_every_kind_runs_its_own_formula():
    images, f = torch.rand(4, PIXELS), {}
    for kind in ("residual", "residual-free", "reversible"):
        torch.manual_seed(0)
        f[kind] = DigitsMixer(kind, layers=2)
    torch.manual_seed(0)
    state = f["residual"].start(images)
    first = f["residual"].rounds.rounds[0](state)
    torch.testing.assert_close(f["residual"].round(0, state), state + first)
    torch.testing.assert_close(f["residual-free"].round(0, state), first)
    both = torch.cat([state, state], -1)
    torch.testing.assert_close(f["reversible"].round(0, both), torch.cat([state, state + first], -1))
    with torch.no_grad():
        by_rounds = f["reversible"](images)
    torch.testing.assert_close(f["reversible"](images), by_rounds)


def test_a_linear_model_gives_its_differential_away():
    """Scores w x: towards class c the best difference is the sign of w_c less the others' mean, for every image."""
    torch.manual_seed(0)
    model = nn.Linear(PIXELS, 10)
    images = torch.rand(200, PIXELS)
    with torch.no_grad():
        w = model.weight
        right = torch.stack([(w[c] - (w.sum(0) - w[c]) / 9).sign() for c in range(10)])
    torch.testing.assert_close(lab.linear_differences(model, images, 1.0), right)
    table = lab.difference_table(model, images, torch.stack([torch.zeros(PIXELS), 100 * right[3]]))
    assert table[0].sum() == 0
    assert table[1, 3] == 1.0


def test_fast_gradient_sign_moves_every_pixel_and_raises_the_loss(data, trained):
    x, y = data.unseen, data.unseen_labels
    moved = lab.fast_gradient_sign(trained, x, y, 0.1)
    torch.testing.assert_close((moved - x).abs(), torch.full_like(x, 0.1))
    cross = nn.functional.cross_entropy
    assert cross(trained(moved), y) > 2 * cross(trained(x), y)


def test_differences_that_are_sought_do_more_than_random_ones(data, trained):
    assert accuracy(trained, data.unseen, data.unseen_labels) > 0.8
    found = lab.attack(trained, data, 0.2)
    assert found.gradient_sign > 2 * found.random
    assert found.differential > 2 * found.random
    best = lab.best_differential(trained, data, 0.2)
    assert best.unseen > best.probability / 2 > best.random


def test_a_trained_network_spreads_a_pixel_everywhere_and_stays_tame(data, trained):
    found = lab.spread(trained, data.unseen)
    assert found["touched"][0] == pytest.approx(1 / PIXELS, abs=0.002)
    assert found["touched"][-1] > 0.9
    assert found["flipped"][-1] < 0.25
