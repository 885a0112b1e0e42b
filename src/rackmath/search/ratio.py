"""Whole numbers of replicas for two pools that must keep pace with each other."""

from __future__ import annotations

import numpy as np

from ..arrays import Number


def ratio(
    prefill_rate: Number, decode_rate: Number, prefill_price: Number, decode_price: Number, *, most: int = 12
) -> tuple[Number, Number, Number]:
    """Replicas of each pool, small whole numbers, so that neither waits much for the other; and dollars per request.

    Rates are requests per second of a replica, prices dollars per second of one. Of the ratios with at most `most`
    replicas in the smaller pool those within 1 % of the cheapest are kept, and of them the smallest. Rates matched
    exactly cost `prefill_price / prefill_rate + decode_price / decode_rate`; whole numbers cost more.

    >>> x, y, dollars = ratio(2.0, 5.0, 1.0, 2.0)
    >>> float(x), float(y), float(dollars)     # 5 x 2/s meet 2 x 5/s
    (5.0, 2.0, 0.9)
    """
    k = np.arange(1.0, most + 1)
    need = np.asarray(prefill_rate / decode_rate, dtype=float)[..., None]  # decode replicas one prefill replica feeds
    x = [np.broadcast_to(k, np.shape(k * need))] * 2 + [np.ceil(k / need), np.maximum(np.floor(k / need), 1.0)]
    y = [np.ceil(k * need), np.maximum(np.floor(k * need), 1.0)] + [np.broadcast_to(k, np.shape(k * need))] * 2
    xs, ys = np.concatenate(x, axis=-1), np.concatenate(y, axis=-1)

    def wide(value: Number) -> Number:
        return np.asarray(value, dtype=float)[..., None]

    price = xs * wide(prefill_price) + ys * wide(decode_price)
    dollars = price / np.minimum(xs * wide(prefill_rate), ys * wide(decode_rate))
    good = dollars <= dollars.min(axis=-1, keepdims=True) * 1.01
    chosen = np.argmin(np.where(good, price * dollars**1e-6, np.inf), axis=-1)[..., None]
    found = (np.take_along_axis(a, chosen, axis=-1)[..., 0] for a in (xs, ys, dollars))
    return tuple(found)  # type: ignore[return-value]
