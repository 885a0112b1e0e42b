"""Mixers that keep a state of fixed size instead of a growing cache: state-space models and linear recurrences.

A layer keeps, per sequence, its recurrent state and the last few inputs of its short convolution (in 16 bits,
whatever the state's format). Both are read and written by every decoded token, and neither grows with context.

FLOPs of the recurrence are those of its plain form, token by token: a fixed number per state element (given with
each block) and 2 x width per convolution channel. Prefill runs a chunked form, which spends more FLOPs on matrix
products to spare memory traffic; the difference is small beside the projections and is not counted.
"""

from __future__ import annotations

from .model import Matrix, Mixer

CONV_BYTES = 2.0
"""Bytes per element of the convolution's tail of past inputs."""


def _recurrent(
    kind: str,
    matrices: list[Matrix],
    *,
    heads: float,
    state: float,
    state_bytes: float,
    flops_per_element: float,
    conv_channels: float = 0,
    conv_kernel: float = 0,
    extra_parameters: float = 0,
    kernels: float,
) -> Mixer:
    tail = conv_channels * max(conv_kernel - 1, 0)
    elements = state + tail
    mean_bytes = (state * state_bytes + tail * CONV_BYTES) / elements if elements else state_bytes
    return Mixer(
        kind=kind,
        matrices=tuple(matrices),
        heads=heads,
        state_elements=elements,
        state_bytes=mean_bytes,
        scan_flops=flops_per_element * state + 2 * conv_kernel * conv_channels,
        extra_parameters=extra_parameters + conv_kernel * conv_channels,
        kernels=kernels,
    )


def gated_delta(
    *,
    d_model: float,
    n_k_heads: float,
    n_v_heads: float,
    d_k: float,
    d_v: float,
    conv_kernel: float = 4,
    state_bytes: float = 4,
    extra_parameters: float = 0,
) -> Mixer:
    """Gated delta net (Qwen3-Next and 3.5): one d_k x d_v state per value head, decayed by one factor per head.

    Per state element 7 FLOPs: the decay (1), reading out the old value of the key (2), adding the corrected value
    (2), reading out the query (2).

    >>> mixer = gated_delta(d_model=2048, n_k_heads=16, n_v_heads=32, d_k=128, d_v=128)     # Qwen3-Next-80B-A3B
    >>> mixer.state_elements * mixer.state_bytes                 # 32 * 128 * 128 * 4 + 3 * 8192 * 2
    2146304.0
    """
    keys, values = n_k_heads * d_k, n_v_heads * d_v
    matrices = [
        Matrix(name="qkv", d_in=d_model, d_out=2 * keys + values),
        Matrix(name="gate", d_in=d_model, d_out=values),
        Matrix(name="beta_decay", d_in=d_model, d_out=n_v_heads, count=2),
        Matrix(name="o", d_in=values, d_out=d_model),
    ]
    return _recurrent(
        "gated_delta", matrices, heads=n_k_heads, state=n_v_heads * d_k * d_v, state_bytes=state_bytes,
        flops_per_element=7, conv_channels=2 * keys + values, conv_kernel=conv_kernel,
        extra_parameters=2 * n_v_heads + d_v + extra_parameters, kernels=6,
    )  # fmt: skip


def kda(
    *,
    d_model: float,
    n_heads: float,
    head_dim: float,
    conv_kernel: float = 4,
    full_rank_gate: bool = False,
    state_bytes: float = 4,
    extra_parameters: float = 0,
) -> Mixer:
    """Kimi delta attention: a gated delta net whose decay differs by channel, from a low-rank projection.

    The output gate is low-rank too (Kimi Linear) or a full matrix (Kimi K3). FLOPs as in `gated_delta`.

    >>> mixer = kda(d_model=7168, n_heads=96, head_dim=128, full_rank_gate=True)            # Kimi K3
    >>> mixer.state_elements * mixer.state_bytes                 # 96 * 128 * 128 * 4 + 3 * 3 * 96 * 128 * 2
    6512640.0
    """
    width = n_heads * head_dim
    matrices = [
        Matrix(name="qkv", d_in=d_model, d_out=width, count=3),
        Matrix(name="decay_down", d_in=d_model, d_out=head_dim, shard="replicated"),
        Matrix(name="decay_up", d_in=head_dim, d_out=width),
        Matrix(name="beta", d_in=d_model, d_out=n_heads),
        Matrix(name="o", d_in=width, d_out=d_model),
    ]
    if full_rank_gate:
        matrices.append(Matrix(name="gate", d_in=d_model, d_out=width))
    else:
        matrices += [
            Matrix(name="gate_down", d_in=d_model, d_out=head_dim, shard="replicated"),
            Matrix(name="gate_up", d_in=head_dim, d_out=width),
        ]
    return _recurrent(
        "kda", matrices, heads=n_heads, state=width * head_dim, state_bytes=state_bytes, flops_per_element=7,
        conv_channels=3 * width, conv_kernel=conv_kernel,
        extra_parameters=width + n_heads + head_dim + extra_parameters, kernels=8,
    )  # fmt: skip


def mamba2(
    *,
    d_model: float,
    n_heads: float,
    head_dim: float,
    d_state: float,
    n_groups: float = 1,
    conv_kernel: float = 4,
    conv_bias: bool = True,
    state_bytes: float = 4,
    extra_parameters: float = 0,
) -> Mixer:
    """Mamba-2: one head_dim x d_state state per head, decayed by one factor per head.

    Per state element 5 FLOPs: decay (1), adding the new input (2), reading out (2).

    >>> mixer = mamba2(d_model=2688, n_heads=64, head_dim=64, d_state=128, n_groups=8)      # Nemotron 3 Nano
    >>> mixer.state_elements * mixer.state_bytes                 # 64 * 64 * 128 * 4 + 3 * 6144 * 2
    2134016.0
    """
    inner = n_heads * head_dim
    channels = inner + 2 * n_groups * d_state
    matrices = [
        Matrix(name="in", d_in=d_model, d_out=inner + channels + n_heads),
        Matrix(name="o", d_in=inner, d_out=d_model),
    ]
    return _recurrent(
        "mamba2", matrices, heads=n_heads, state=inner * d_state, state_bytes=state_bytes, flops_per_element=5,
        conv_channels=channels, conv_kernel=conv_kernel,
        extra_parameters=3 * n_heads + inner + (channels if conv_bias else 0) + extra_parameters, kernels=5,
    )  # fmt: skip


def mamba1(
    *,
    d_model: float,
    d_inner: float,
    d_state: float,
    dt_rank: float,
    conv_kernel: float = 4,
    conv_bias: bool = True,
    inner_norms: bool = False,
    state_bytes: float = 4,
    extra_parameters: float = 0,
) -> Mixer:
    """Mamba-1 (Jamba): a state of d_state numbers per channel, each with a decay of its own.

    Per state element 7 FLOPs: its decay factor (2), decay (1), adding the new input (2), reading out (2).
    `inner_norms`: the step size and both state projections are normalised (Jamba).

    >>> mixer = mamba1(d_model=4096, d_inner=8192, d_state=16, dt_rank=256)                 # Jamba 1.5 Mini
    >>> mixer.state_elements * mixer.state_bytes                 # 8192 * 16 * 4 + 3 * 8192 * 2
    573440.0
    """
    matrices = [
        Matrix(name="in", d_in=d_model, d_out=2 * d_inner),
        Matrix(name="x", d_in=d_inner, d_out=dt_rank + 2 * d_state),
        Matrix(name="dt", d_in=dt_rank, d_out=d_inner),
        Matrix(name="o", d_in=d_inner, d_out=d_model),
    ]
    own = d_inner * (d_state + 2) + (d_inner if conv_bias else 0)  # decays, skip, step bias, convolution bias
    own += dt_rank + 2 * d_state if inner_norms else 0
    return _recurrent(
        "mamba1", matrices, heads=d_inner, state=d_inner * d_state, state_bytes=state_bytes, flops_per_element=7,
        conv_channels=d_inner, conv_kernel=conv_kernel, extra_parameters=own + extra_parameters, kernels=6,
    )  # fmt: skip


def lightning(
    *, d_model: float, n_heads: float, head_dim: float, state_bytes: float = 4, extra_parameters: float = 0
) -> Mixer:
    """Lightning attention (MiniMax 01 and M1): linear attention with a fixed decay per head and an output gate.

    Per state element 5 FLOPs: decay (1), adding the new key and value (2), reading out (2).

    >>> mixer = lightning(d_model=6144, n_heads=64, head_dim=128)                           # MiniMax M1
    >>> mixer.state_elements * mixer.state_bytes                 # 64 * 128 * 128 * 4
    4194304.0
    """
    width = n_heads * head_dim
    matrices = [
        Matrix(name="qkv", d_in=d_model, d_out=width, count=3),
        Matrix(name="gate", d_in=d_model, d_out=width),
        Matrix(name="o", d_in=width, d_out=d_model),
    ]
    return _recurrent(
        "lightning", matrices, heads=n_heads, state=width * head_dim, state_bytes=state_bytes, flops_per_element=5,
        extra_parameters=width + extra_parameters, kernels=5,
    )  # fmt: skip
