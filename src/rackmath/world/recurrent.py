"""Mixers that keep a state of fixed size instead of a growing cache: state-space models and linear recurrences.

A layer keeps, per sequence, its recurrent state and the last few inputs of its short convolution (in 16 bits,
whatever the state's format). Both are read and written by every decoded token, and neither grows with context.

FLOPs of the recurrence are those of its plain form, token by token: a fixed number per state element (given with
each block) and 2 x width per convolution channel. Prefill runs a chunked form, which spends more FLOPs on matrix
products to spare memory traffic; the difference is small beside the projections and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import Matrix, Mixer

CONV_BYTES = 2.0
"""Bytes per element of the convolution's tail of past inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A state of fixed size, and the short convolution in front of it."""

    state: float  # elements of the state, per sequence
    state_bytes: float  # bytes of one
    flops_per_element: float  # of the state, per token
    conv_channels: float = 0
    conv_kernel: float = 0  # inputs that an output of the convolution depends on

    def mixer(self, kind: str, matrices: list[Matrix], *, heads: float, extra_parameters: float, kernels: float) -> Mixer:
        """A layer of this recurrence; the convolution's own weights are added to `extra_parameters`."""
        tail = self.conv_channels * max(self.conv_kernel - 1, 0)
        elements = self.state + tail
        mean_bytes = (self.state * self.state_bytes + tail * CONV_BYTES) / elements if elements else self.state_bytes
        return Mixer(
            kind=kind,
            matrices=tuple(matrices),
            heads=heads,
            state_elements=elements,
            state_bytes=mean_bytes,
            scan_flops=self.flops_per_element * self.state + 2 * self.conv_kernel * self.conv_channels,
            extra_parameters=extra_parameters + self.conv_kernel * self.conv_channels,
            kernels=kernels,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """Gated delta net (Qwen3-Next and 3.5): one d_k x d_v state per value head, decayed by one factor per head.

    Per state element 7 FLOPs: the decay (1), reading out the old value of the key (2), adding the corrected value
    (2), reading out the query (2).

    >>> mixer = GatedDeltaNet(d_model=2048, n_k_heads=16, n_v_heads=32, d_k=128, d_v=128).block()  # Qwen3-Next-80B
    >>> mixer.state_elements * mixer.state_bytes                 # 32 * 128 * 128 * 4 + 3 * 8192 * 2
    2146304.0
    """

    d_model: float
    n_k_heads: float
    n_v_heads: float
    d_k: float
    d_v: float
    conv_kernel: float = 4
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        keys, values = self.n_k_heads * self.d_k, self.n_v_heads * self.d_v
        matrices = [
            Matrix(name="qkv", d_in=self.d_model, d_out=2 * keys + values),
            Matrix(name="gate", d_in=self.d_model, d_out=values),
            Matrix(name="beta_decay", d_in=self.d_model, d_out=self.n_v_heads, count=2),
            Matrix(name="o", d_in=values, d_out=self.d_model),
        ]
        recurrence = Recurrence(
            state=self.n_v_heads * self.d_k * self.d_v,
            state_bytes=self.state_bytes,
            flops_per_element=7,
            conv_channels=2 * keys + values,
            conv_kernel=self.conv_kernel,
        )
        own = 2 * self.n_v_heads + self.d_v + self.extra_parameters
        return recurrence.mixer("gated_delta", matrices, heads=self.n_k_heads, extra_parameters=own, kernels=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class KimiDeltaAttention:
    """Kimi delta attention: a gated delta net whose decay differs by channel, from a low-rank projection.

    The output gate is low-rank too (Kimi Linear) or a full matrix (Kimi K3), and so may the decay be (Ling 3). FLOPs
    as in `gated_delta`.

    >>> mixer = KimiDeltaAttention(d_model=7168, n_heads=96, head_dim=128, full_rank_gate=True).block()   # Kimi K3
    >>> mixer.state_elements * mixer.state_bytes                 # 96 * 128 * 128 * 4 + 3 * 3 * 96 * 128 * 2
    6512640.0
    """

    d_model: float
    n_heads: float
    head_dim: float
    conv_kernel: float = 4
    full_rank_gate: bool = False
    full_rank_decay: bool = False
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        width = self.n_heads * self.head_dim
        matrices = [
            Matrix(name="qkv", d_in=self.d_model, d_out=width, count=3),
            *self._low_rank("decay", width, full=self.full_rank_decay),
            Matrix(name="beta", d_in=self.d_model, d_out=self.n_heads),
            Matrix(name="o", d_in=width, d_out=self.d_model),
            *self._low_rank("gate", width, full=self.full_rank_gate),
        ]
        recurrence = Recurrence(
            state=width * self.head_dim,
            state_bytes=self.state_bytes,
            flops_per_element=7,
            conv_channels=3 * width,
            conv_kernel=self.conv_kernel,
        )
        own = width + self.n_heads + self.head_dim + self.extra_parameters
        return recurrence.mixer("kda", matrices, heads=self.n_heads, extra_parameters=own, kernels=8)

    def _low_rank(self, name: str, width: float, *, full: bool) -> tuple[Matrix, ...]:
        if full:
            return (Matrix(name=name, d_in=self.d_model, d_out=width),)
        return (
            Matrix(name=f"{name}_down", d_in=self.d_model, d_out=self.head_dim, shard="replicated"),
            Matrix(name=f"{name}_up", d_in=self.head_dim, d_out=width),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    """Mamba-2: one head_dim x d_state state per head, decayed by one factor per head.

    Per state element 5 FLOPs: decay (1), adding the new input (2), reading out (2). Without `gate_norm` the gated
    output is not normalised (Falcon-H1).

    >>> mixer = Mamba2(d_model=2688, n_heads=64, head_dim=64, d_state=128, n_groups=8).block()      # Nemotron 3 Nano
    >>> mixer.state_elements * mixer.state_bytes                 # 64 * 64 * 128 * 4 + 3 * 6144 * 2
    2134016.0
    """

    d_model: float
    n_heads: float
    head_dim: float
    d_state: float
    n_groups: float = 1
    conv_kernel: float = 4
    conv_bias: bool = True
    gate_norm: bool = True
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        inner = self.n_heads * self.head_dim
        channels = inner + 2 * self.n_groups * self.d_state
        matrices = [
            Matrix(name="in", d_in=self.d_model, d_out=inner + channels + self.n_heads),
            Matrix(name="o", d_in=inner, d_out=self.d_model),
        ]
        recurrence = Recurrence(
            state=inner * self.d_state,
            state_bytes=self.state_bytes,
            flops_per_element=5,
            conv_channels=channels,
            conv_kernel=self.conv_kernel,
        )
        own = 3 * self.n_heads + (inner if self.gate_norm else 0) + (channels if self.conv_bias else 0) + self.extra_parameters
        return recurrence.mixer("mamba2", matrices, heads=self.n_heads, extra_parameters=own, kernels=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba1:
    """Mamba-1 (Jamba): a state of d_state numbers per channel, each with a decay of its own.

    Per state element 7 FLOPs: its decay factor (2), decay (1), adding the new input (2), reading out (2).
    `inner_norms`: the step size and both state projections are normalised (Jamba).

    >>> mixer = Mamba1(d_model=4096, d_inner=8192, d_state=16, dt_rank=256).block()                 # Jamba 1.5 Mini
    >>> mixer.state_elements * mixer.state_bytes                 # 8192 * 16 * 4 + 3 * 8192 * 2
    573440.0
    """

    d_model: float
    d_inner: float
    d_state: float
    dt_rank: float
    conv_kernel: float = 4
    conv_bias: bool = True
    inner_norms: bool = False
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        inner, step_and_state = self.d_inner, self.dt_rank + 2 * self.d_state
        matrices = [
            Matrix(name="in", d_in=self.d_model, d_out=2 * inner),
            Matrix(name="x", d_in=inner, d_out=step_and_state),
            Matrix(name="dt", d_in=self.dt_rank, d_out=inner),
            Matrix(name="o", d_in=inner, d_out=self.d_model),
        ]
        recurrence = Recurrence(
            state=inner * self.d_state, state_bytes=self.state_bytes, flops_per_element=7, conv_channels=inner, conv_kernel=self.conv_kernel
        )
        own = inner * (self.d_state + 2) + (inner if self.conv_bias else 0)  # decays, skip, biases of step and conv
        own += step_and_state if self.inner_norms else 0
        own += self.extra_parameters
        return recurrence.mixer("mamba1", matrices, heads=inner, extra_parameters=own, kernels=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class LightningAttention:
    """Lightning attention (MiniMax 01 and M1): linear attention with a fixed decay per head and an output gate.

    Per state element 5 FLOPs: decay (1), adding the new key and value (2), reading out (2).

    >>> mixer = LightningAttention(d_model=6144, n_heads=64, head_dim=128).block()                  # MiniMax M1
    >>> mixer.state_elements * mixer.state_bytes                 # 64 * 128 * 128 * 4
    4194304.0
    """

    d_model: float
    n_heads: float
    head_dim: float
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        width = self.n_heads * self.head_dim
        matrices = [
            Matrix(name="qkv", d_in=self.d_model, d_out=width, count=3),
            Matrix(name="gate", d_in=self.d_model, d_out=width),
            Matrix(name="o", d_in=width, d_out=self.d_model),
        ]
        recurrence = Recurrence(state=width * self.head_dim, state_bytes=self.state_bytes, flops_per_element=5)
        own = width + self.extra_parameters
        return recurrence.mixer("lightning", matrices, heads=self.n_heads, extra_parameters=own, kernels=5)
