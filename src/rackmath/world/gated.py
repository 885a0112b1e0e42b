"""Mixers around a short convolution or a gated recurrence of small state, and attention to what an encoder made.

As in `recurrent`, FLOPs are those of the plain form, token by token, and the tail of a convolution's past inputs is
kept in 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import Matrix, Mixer
from .recurrent import Recurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortConvolution:
    """Gated short convolution (LFM2 and LFM3): three projections of the input, two of them gates around it.

    Nothing is kept but the last `conv_kernel` - 1 inputs.

    >>> mixer = ShortConvolution(d_model=2048, conv_kernel=3).block()                        # LFM2-1.2B
    >>> mixer.state_elements * mixer.state_bytes                 # 2 * 2048 * 2
    8192.0
    """

    d_model: float
    conv_kernel: float = 3
    extra_parameters: float = 0

    def block(self) -> Mixer:
        matrices = [Matrix(name="in", d_in=self.d_model, d_out=3 * self.d_model), Matrix(name="o", d_in=self.d_model, d_out=self.d_model)]
        tail = Recurrence(state=0, state_bytes=4, flops_per_element=0, conv_channels=self.d_model, conv_kernel=self.conv_kernel)
        return tail.mixer("short_conv", matrices, heads=self.d_model, extra_parameters=self.extra_parameters, kernels=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedLinearRecurrence:
    """Real-gated linear recurrence (RG-LRU of Griffin, RecurrentGemma): one number per channel, with two gates.

    Beside it runs a branch of the same width; both gates are block-diagonal in `n_blocks` blocks. Per state element 5
    FLOPs: decay (1), gating the input (2), adding it (1), the other branch (1). Biases are counted.

    >>> mixer = GatedLinearRecurrence(d_model=2560, width=2560, n_blocks=10).block()         # RecurrentGemma 2B
    >>> mixer.state_elements * mixer.state_bytes                 # 2560 * 4 + 3 * 2560 * 2
    25600.0
    """

    d_model: float
    width: float
    n_blocks: float = 1
    conv_kernel: float = 4
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        side = self.width / self.n_blocks
        matrices = [
            Matrix(name="in", d_in=self.d_model, d_out=self.width, count=2),
            Matrix(name="gate", d_in=side, d_out=side, count=2 * self.n_blocks),
            Matrix(name="o", d_in=self.width, d_out=self.d_model),
        ]
        recurrence = Recurrence(
            state=self.width, state_bytes=self.state_bytes, flops_per_element=5, conv_channels=self.width, conv_kernel=self.conv_kernel
        )
        own = 6 * self.width + self.d_model + self.extra_parameters  # biases of both inputs, gates, convolution; decay
        return recurrence.mixer("rg_lru", matrices, heads=self.n_blocks, extra_parameters=own, kernels=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixMemory:
    """Matrix memory of xLSTM (mLSTM): one d_qk x d_v state per head, its normaliser and maximum, an output gate.

    `d_qk` and `d_v` are those of all heads together. Per state element 5 FLOPs: decay (1), adding the new input (2),
    reading out (2).

    >>> mixer = MatrixMemory(d_model=4096, n_heads=8, d_qk=2048, d_v=4096).block()           # xLSTM 7B
    >>> mixer.state_elements                                     # 8 * (256 * 512 + 256 + 1)
    1050632.0
    """

    d_model: float
    n_heads: float
    d_qk: float
    d_v: float
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        matrices = [
            Matrix(name="qkv", d_in=self.d_model, d_out=2 * self.d_qk + self.d_v),
            Matrix(name="gate", d_in=self.d_model, d_out=self.d_v),
            Matrix(name="beta_decay", d_in=self.d_model, d_out=self.n_heads, count=2),
            Matrix(name="o", d_in=self.d_v, d_out=self.d_model),
        ]
        recurrence = Recurrence(
            state=self.d_qk * self.d_v / self.n_heads + self.d_qk + self.n_heads, state_bytes=self.state_bytes, flops_per_element=5
        )
        own = 2 * self.n_heads + self.d_v + self.extra_parameters
        return recurrence.mixer("mlstm", matrices, heads=self.n_heads, extra_parameters=own, kernels=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class RwkvTimeMix:
    """Time mixing of RWKV 4: a running weighted mean per channel, in place of attention.

    Five numbers per channel are kept: numerator, denominator and maximum, and the last input of this part and of the
    MLP beside it. Per state element 4 FLOPs.

    >>> mixer = RwkvTimeMix(d_model=4096, width=4096).block()                                # RWKV-4 7B
    >>> mixer.state_elements * mixer.state_bytes                 # 5 * 4096 * 4
    81920.0
    """

    d_model: float
    width: float
    state_bytes: float = 4
    extra_parameters: float = 0

    def block(self) -> Mixer:
        matrices = [Matrix(name="qkv", d_in=self.d_model, d_out=self.width, count=3), Matrix(name="o", d_in=self.width, d_out=self.d_model)]
        recurrence = Recurrence(state=3 * self.width + 2 * self.d_model, state_bytes=self.state_bytes, flops_per_element=4)
        own = 2 * self.width + 3 * self.d_model + self.extra_parameters  # decay, bonus; three mixes with the last input
        return recurrence.mixer("rwkv", matrices, heads=self.width, extra_parameters=own, kernels=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttention:
    """Attention of text to what an encoder made of an image or of sound (Llama 3.2 Vision, every fifth layer).

    Every token has a query and an output. Keys and values are made once for an image: their matrices are stored, and
    neither they nor reading the image's entries is costed. `d_source` is the width of what the encoder made.

    >>> mixer = CrossAttention(d_model=4096, n_heads=32, n_kv_heads=8, head_dim=128).block()
    >>> sum(m.parameters for m in mixer.matrices), mixer.extra_parameters
    (33554432, 8388608)
    """

    d_model: float
    n_heads: float
    n_kv_heads: float
    head_dim: float
    d_source: float | None = None
    extra_parameters: float = 0

    def block(self) -> Mixer:
        matrices = (
            Matrix(name="q", d_in=self.d_model, d_out=self.n_heads * self.head_dim),
            Matrix(name="o", d_in=self.n_heads * self.head_dim, d_out=self.d_model),
        )
        stored = 2 * (self.d_source or self.d_model) * self.n_kv_heads * self.head_dim
        return Mixer(kind="cross", matrices=matrices, heads=self.n_heads, extra_parameters=stored + self.extra_parameters, kernels=3)
