"""Seconds a device idles in a step, schedule by schedule: the formulas behind `schedules.bubble_time`.

p devices, m micro-batches, v chunks a device; f, b, w: seconds of forward, input gradient and weight gradient of one
micro-batch through one device's layers, t their sum; c: of a hop; k: share of its activations a micro-batch holds
until its weight gradient. At c = 0 they are those of the schedules' authors
(DualPipe's with a forward and a backward pass as a pair taking f + b + w). What hops cost, and unequal times under
V-Half, V-Min and ZB-V, is read off simulated steps: no author gives a formula.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Number


def _plus(x: Number) -> Number:
    found: Number = np.maximum(x, 0.0)
    return found


def gpipe(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    return (p - 1) * (f + b + w + 2 * c) + 0.0 * m


def _exposed(p: Number, m: Number) -> Number:
    """Hops one way on the longest path of 1F1B: p micro-batches go round while a device holds no more than p."""
    rounds = m + p - 2.0
    return rounds - np.floor(rounds / p)


def one_f_one_b(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    return (p - 1) * (f + b + w) + 2 * _exposed(p, m) * c


def interleaved(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    t, stages = (f + b + w) / v, p * v
    late = (m - p) * v * (stages - 1) / (2 * stages - 1)  # chunks that wait where two hops outlast one of them
    return (p - 1) * t + 2 * (stages - 1) * c + _plus(2 * c - t) * late


def zb_1p(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    hops, ends = _exposed(p, m), p - 1
    seen = np.minimum(hops, 2 * ends)
    idle: Number = np.maximum(ends * (b + 2 * c), ends * (f + b - w) + 2 * seen * c)
    return idle + _plus(2 * c - w) * (hops - seen)


def zb_h2(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    start = np.maximum(b - f, f + b - 2 * w) + 2 * c
    return (p - 1) * _plus(np.maximum(start, 4 * c - 2 * w)) + 0.0 * m


def zb_2p(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    start = _plus((p - 1) * (b - f + 2 * c) - f)
    idle: Number = np.maximum(start, (p - 1) * (f + b - 2 * w / k + 2 * c)) + 0.0 * m
    return idle


def zb_v(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    return (p - 1) * (0.75 * _plus(f + b - 2 * w) + 6 * c) + 0.0 * m


def v_half(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    ends = (p / 2 - 1) * (f + b + w) + (p - 1) * (_plus(f + b - 2 * w) / 2 + 7 * c)
    every = _plus(np.abs(b - f) - w + 4 * c)
    return _above(2, p, ends + m * every, zb_v(p, m, v, f, b, w, c, k))


def v_min(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    ends = (p - 1) * (2 * (f + b + w) / 3 + 3.5 * c)
    every = _plus(1.5 * np.abs(b - f) + np.minimum(f, b) - w + 4.5 * c)
    return _above(3, p, ends + m * every, v_half(p, m, v, f, b, w, c, k))


def _above(few: int, p: Number, idle: Number, of_more_memory: Number) -> Number:
    """On so few stages a schedule of less memory holds as much as one of more, and does as well."""
    found: Number = np.where(np.asarray(p) > few, idle, of_more_memory)
    return found


def dualpipe(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    return (p / 2 - 1) * _plus(f + 2 * b - w) + 2 * p * c + m * _plus(c - w)


def dualpipe_v(p: Number, m: Number, v: Number, f: Number, b: Number, w: Number, c: Number, k: Number) -> Number:
    ends = (p - 1) * (_plus(f + 2 * b - w) / 2 + 4 * c)
    return ends + np.where(np.asarray(p) > 1, 2 * m * _plus(c - w / 2), 0.0)
