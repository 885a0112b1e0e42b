"""How a model is cut over devices: which cuts are legal, and what each device then holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Mask, Number
from ..world.engine import Engine
from ..world.model import FeedForward, Matrix, Model, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One replica: `pp` stages of `tp` x `dp` devices.

    `tp` tensor-parallel ranks share attention, `dp` attention data-parallel groups hold different sequences.
    Experts lie on the tp x dp devices of a stage: `ep` groups of different experts, each expert cut `tp x dp / ep`
    ways. Dense feed-forward parts are cut over `tp`.

    Context parallelism: `cp` such sets of ranks share each prompt's tokens and keep each a part of its cache; dense
    weights are copied to all of them, experts lie on all tp x dp x cp devices of a stage. It serves long prefill.

    Decode context parallelism: tensor-parallel ranks beyond the KV heads hold copies of the same cache; in groups of
    `dcp` of them each keeps every dcp-th token instead. It takes no further device. While decoding, a group gathers
    its queries and merges what each rank's part of the cache made of them (vLLM: --decode-context-parallel-size).
    """

    tp: Number = 1.0
    pp: Number = 1.0
    dp: Number = 1.0
    ep: Number = 1.0
    cp: Number = 1.0
    dcp: Number = 1.0
    redundant: Number = 0.0  # copies of experts wanted beside the experts, before an even split adds more
    host_layers: Number = 0.0  # whole layers that lie with the host (see `layout.spread`)
    host_experts: Number = 0.0  # of the other layers those whose experts do

    @property
    def stage(self) -> Number:
        """Devices of one pipeline stage."""
        return self.tp * self.dp * self.cp

    @property
    def gpus(self) -> Number:
        """Devices of one replica."""
        return self.stage * self.pp

    @property
    def moe_tp(self) -> Number:
        """Ways one expert is cut."""
        return self.stage / self.ep

    def label(self) -> str:
        """The layout in words, e.g. "TP4 DP8 EP32"; scalars only.

        >>> Layout(tp=4, dp=8, ep=32).label()
        'TP4 DP8 EP32'
        >>> Layout(tp=8, dcp=8).label()
        'TP8 DCP8'
        >>> Layout().label()
        'TP1'
        """
        parts = [f"TP{self.tp:.0f}"]
        more = (("DP", self.dp), ("CP", self.cp), ("DCP", self.dcp), ("EP", self.ep), ("PP", self.pp))
        parts += [f"{n}{v:.0f}" for n, v in more if v > 1]
        hosted = ((self.host_layers, "layers"), (self.host_experts, "layers' experts"))
        parts += [f"+ {v:.0f} {what} on the host" for v, what in hosted if v > 0]
        return " ".join(parts)


REDUNDANCY_LIMIT = 0.2
"""Expert slots beyond the experts, as a share of them, that a layout may spend on redundant copies."""


def uncut(model: Model, tp: Number) -> dict[str, Mask]:
    """What tp devices cannot cut evenly: one sentence -> True where it applies."""
    heads: Mask = np.asarray(False)
    kv: Mask = np.asarray(False)
    width: Mask = np.asarray(False)
    for group in model.groups:
        if group.mixer:
            heads = heads | (group.mixer.heads % tp != 0)
            for stream in group.mixer.streams:
                if stream.heads > 1:
                    kv = kv | ((stream.heads % tp != 0) & (tp % stream.heads != 0))
        if group.ffn and group.ffn.d_dense:
            width = width | (group.ffn.d_dense % tp != 0)
    return {
        "attention heads do not divide by tp": heads,
        "KV heads neither divide by tp nor divide it": kv,
        "feed-forward width does not divide by tp": width,
    }


def under_way(engine: Engine, layout: Layout) -> Number:
    """Micro-batches under way in a replica: one in each stage, or a single one where cards work in turn.

    >>> from rackmath.world.engine import Engine
    >>> under_way(Engine(), Layout(pp=4)), under_way(Engine(local=True), Layout(pp=4))
    (4, 1.0)
    """
    return 1.0 if engine.local else layout.pp


def illegal(model: Model, layout: Layout) -> dict[str, Mask]:
    """Why a layout cannot run: reason -> True where it applies. Rows with no reason are legal.

    Tensor parallelism must divide the query heads and either divide or be divided by the KV heads (which are then
    replicated); experts beyond an even split are filled up with redundant copies, at most 20 % of them. Decode
    context parallelism must divide the copies of a KV head.

    >>> from rackmath.world.description import build
    >>> llama = build({"name": "l", "d_model": 4096, "vocab": 1000, "groups": [{"count": 32,
    ...     "mixer": {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}, "ffn": {"kind": "mlp", "d_ff": 14336}}]})
    >>> [reason for reason, bad in illegal(llama, Layout(tp=np.array([8.0, 7.0]))).items() if bad[1]]
    ['attention heads do not divide by tp', 'KV heads neither divide by tp nor divide it']
    """
    expert_width: Mask = np.asarray(False)
    redundancy: Mask = np.asarray(False)
    for group in model.groups:
        if group.ffn and group.ffn.n_experts:
            expert_width = expert_width | (group.ffn.d_expert % layout.moe_tp != 0)
            redundancy = redundancy | (slots(group.ffn, layout) > group.ffn.n_experts * (1 + REDUNDANCY_LIMIT))
    stage = layout.stage
    copies, windows = _not_shared(model, layout)
    recurrent = any(g.mixer and (g.mixer.state_elements or g.mixer.scan_flops) for g in model.groups)
    reasons = {
        **uncut(model, layout.tp),
        "expert width does not divide by the ways an expert is cut": expert_width,
        "too many redundant experts": redundancy,
        "ep does not divide tp x dp": stage % layout.ep != 0,
        "a recurrent state cannot be split over cp": (np.asarray(layout.cp) > 1) & recurrent,
        "dcp does not divide the copies of the cache, tp / KV heads": copies,
        "engines do not share the cache of a window over dcp": windows,
        "ep without experts": (np.asarray(layout.ep) > 1) & (not model.has_experts),
        "more stages than layers": np.asarray(layout.pp) > model.n_layers,
    }
    return {reason: np.broadcast_to(bad, np.shape(stage)) for reason, bad in reasons.items()}


def _not_shared(model: Model, layout: Layout) -> tuple[Mask, Mask]:
    """Where ranks of a decode-context-parallel group would hold different KV heads, and where a cache is a window.

    vLLM's own rules: dcp divides tp and is at most tp / KV heads (model and parallel configuration; context parallel
    deployment guide), and its managers of sliding-window and chunked caches refuse a dcp above 1.
    """
    shared = np.asarray(layout.dcp) > 1
    copies: Mask = shared & (not any(g.mixer and g.mixer.streams for g in model.groups))
    windows: Mask = np.asarray(False)
    for group in model.groups:
        for stream in group.mixer.streams if group.mixer else ():
            copies = copies | (shared & (layout.tp % (stream.heads * layout.dcp) != 0))
            windows = windows | (shared & (min(stream.window, stream.chunk) < np.inf))
    return copies, windows


def cache_copies(model: Model, tp: Number) -> Number:
    """How many of `tp` ranks hold the same cache: those beyond the heads of the stream that is cut furthest.

    >>> from rackmath.world import catalog
    >>> [float(cache_copies(catalog.model(m), 8.0)) for m in ("deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-235B-A22B")]
    [8.0, 2.0]
    """
    heads = max((s.heads for g in model.groups if g.mixer for s in g.mixer.streams), default=np.inf)
    return np.maximum(np.floor(tp / heads), 1.0)


def shares_cache(engine: Engine, model: Model) -> bool:
    """Whether an engine shares the copies of such a model's cache over dcp."""
    latent = all(s.heads <= 1 for g in model.groups if g.mixer for s in g.mixer.streams)
    return engine.shared_caches == "all" or (engine.shared_caches == "latent" and latent)


def slots(ffn: FeedForward, layout: Layout) -> Number:
    """Expert slots over all expert-parallel ranks: the experts, filled up with redundant copies to an even split."""
    return np.ceil((ffn.n_experts + layout.redundant) / layout.ep) * layout.ep


def split(matrices: tuple[Matrix, ...], weight: dict[str, float], kv_heads: float, tp: Number) -> Number:
    """Sum of `weight[component]` x parameters over matrices, as one tensor-parallel rank holds them."""
    whole = sum(weight[m.component] * m.parameters for m in matrices if m.shard == "replicated")
    cut = sum(weight[m.component] * m.parameters for m in matrices if m.shard == "split")
    kv = sum(weight[m.component] * m.parameters for m in matrices if m.shard == "kv")
    return cut / tp + whole + (kv / np.minimum(tp, kv_heads) if kv else 0.0)


def kv_heads_of(streams: tuple[Stream, ...]) -> float:
    """Heads a mixer's KV projections can be split over."""
    return max((s.heads for s in streams), default=1.0)


def stage_share(model: Model, layout: Layout) -> Number:
    """Share of the layers in the fullest pipeline stage: ceil(layers / pp) / layers."""
    layers = np.maximum(model.n_layers, 1.0)
    found: Number = np.ceil(layers / layout.pp - 1e-9) / layers
    return found
