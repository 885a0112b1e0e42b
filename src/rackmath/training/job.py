"""A training run as records: how it is cut, in which formats, how many sequences a step takes.

Numbers of `TrainLayout` and `Batch` may be columns. What changes the structure of a step (schedule, recomputation,
sequence parallelism, ZeRO stage) is a Python-level choice. A device holds one tensor-parallel part of one stage;
experts lie on the tp x cp x dp devices of a stage, `ep` of them for one copy of all experts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np

from ..arrays import Mask, Number
from ..errors import BadInput, unknown
from ..layout.parallelism import uncut
from ..world.model import Model
from ..world.precision import Precision
from .schedules import SCHEDULES, chunks, possible

RECOMPUTE = ("none", "selective", "full", "reversible", "offload")
"""What is kept between forward and backward: all, all but attention's scores, layer inputs only, nothing (inputs are
computed back from outputs), or all of it in host memory. "every 4" keeps the input of every fourth layer."""

KINDS = ("tp", "ep", "cp", "pp", "dp")
"""Kinds of communication, by the cut that causes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLayout:
    """How a step is cut over devices: tp x pp x dp x cp of them.

    `interleave`: model chunks of a stage; `micro_batch`: sequences of one micro-batch of one data-parallel rank.
    """

    tp: Number = 1.0
    pp: Number = 1.0
    dp: Number = 1.0
    ep: Number = 1.0
    cp: Number = 1.0
    interleave: Number = 1.0
    micro_batch: Number = 1.0
    schedule: str = "1f1b"
    recompute: str = "none"
    sequence_parallel: bool = False
    zero: int = 0

    @property
    def devices(self) -> Number:
        return self.tp * self.pp * self.dp * self.cp

    @property
    def stage(self) -> Number:
        """Devices of one pipeline stage."""
        return self.tp * self.dp * self.cp

    def label(self) -> str:
        """The layout in words; scalars only.

        >>> layout_of("tp8 pp16 dp4 interleave 2 ZeRO1 SP").label()
        'TP8 PP16 DP4 interleave 2 MB1 ZeRO1 SP'
        """
        sizes = (("PP", self.pp), ("DP", self.dp), ("CP", self.cp), ("EP", self.ep), ("interleave ", self.interleave))
        parts = [f"TP{self.tp:.0f}", *(f"{name}{size:.0f}" for name, size in sizes if size > 1)]
        parts.append(f"MB{self.micro_batch:.0f}")
        parts += [f"ZeRO{self.zero}"] if self.zero else []
        parts += ["SP"] if self.sequence_parallel else []
        parts += [self.schedule] if self.schedule not in ("1f1b", "interleaved") else []
        parts += [f"recompute {self.recompute}"] if self.recompute != "none" else []
        return " ".join(parts)


MULTIPLIED = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5}
"""Bytes of a number, block scales aside, in each format that products are trained in."""

SIXTEEN = Precision.uniform("bf16")
"""Everything in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Formats of a run, in bytes of one parameter each, and how attention is computed.

    `precision`: formats that matrix products run in; weights are kept in `weight_bytes`, copies in the products'
    format included. `attention` "flash" never writes scores to memory and skips masked ones; "unfused" does neither.
    """

    name: str = "bf16"
    precision: Precision = SIXTEEN
    weight_bytes: float = 2.0
    gradient_bytes: float = 4.0
    master_bytes: float = 4.0
    moment_bytes: float = 8.0
    attention: str = "flash"
    dropout: bool = False

    @property
    def optimizer_bytes(self) -> float:
        return self.master_bytes + self.moment_bytes


def recipe_named(name: str, **changes: object) -> Recipe:
    """A recipe by the format of its products, with fields changed.

    Weights stay in 16 bits and are cast for every product, and the cast copies are kept for the step: one of a byte
    for 8-bit products, half of one for 4-bit. Gradients, master weights and both moments are kept in 32 bits.

    >>> recipe_named("bf16").weight_bytes, recipe_named("fp8").weight_bytes
    (2.0, 3.0)
    """
    precision = Precision.uniform(name)
    if MULTIPLIED.get(precision.mlp.compute, 0.0) != np.floor(2 * precision.mlp.bytes) / 2:
        raise BadInput(f"products in {name} are not trained with here; give bf16, fp8, mxfp8 or nvfp4")
    weight = 2.0 + (precision.mlp.bytes if precision.mlp.compute != "bf16" else 0.0)
    given = {"name": precision.name, "precision": precision, "weight_bytes": weight, **changes}
    return Recipe(**given)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences of one optimizer step, all of `seq` tokens."""

    seq: Number
    global_batch: Number

    @property
    def tokens(self) -> Number:
        return self.seq * self.global_batch


# --- layouts in words ---------------------------------------------------------------------------------------------

_SIZES = {
    "tp": "tp",
    "pp": "pp",
    "dp": "dp",
    "ep": "ep",
    "cp": "cp",
    "fsdp": "dp",
    "interleave": "interleave",
    "vp": "interleave",
    "v": "interleave",
    "mb": "micro_batch",
    "mbs": "micro_batch",
}
_EXAMPLE = 'give one like "TP8 PP16 DP128 interleave 4 EP8 CP2 MB1 ZeRO1 SP"'


def layout_of(words: str, **changes: object) -> TrainLayout:
    """A layout in words: sizes behind their names, a schedule, SP, ZeRO0 to ZeRO3, and what is recomputed.

    >>> layout_of("TP8 PP16 DP128 interleave 4 EP8 CP2 MB1 ZeRO1 SP").devices
    32768.0
    >>> layout_of("FSDP64 MB2 every 4").zero, layout_of("FSDP64 MB2 every 4").recompute
    (3, 'every 4')
    """
    found: dict[str, object] = {}
    text = re.sub(r"\b(interleave|every|recompute)[ =:]+", lambda m: m.group(1).lower(), words.strip(), flags=re.I)
    for word in re.split(r"[\s,]+", text):
        low = word.lower()
        size = re.fullmatch(r"([a-z]+)=?(\d+)", low)
        if not low:
            continue
        if low in ("sp", "nosp"):
            found["sequence_parallel"] = low == "sp"
        elif zero := re.fullmatch(r"zero[-=]?([0-3])", low):
            found["zero"] = int(zero.group(1))
        elif every := re.fullmatch(r"(?:recompute)?every(\d+)", low):
            found["recompute"] = f"every {int(every.group(1))}"
        elif low.removeprefix("recompute") in RECOMPUTE:
            found["recompute"] = low.removeprefix("recompute")
        elif low in SCHEDULES:
            found["schedule"] = low
        elif size and size.group(1) in _SIZES:
            key = _SIZES[size.group(1)]
            if key in found:
                raise BadInput(f"layout {words!r} gives {key} twice; {_EXAMPLE}")
            if not float(size.group(2)):
                raise BadInput(f"layout {words!r} gives {word}; sizes are 1 or more")
            found[key] = float(size.group(2))
            if size.group(1) == "fsdp":
                found.setdefault("zero", 3)
        else:
            raise BadInput(f"layout {words!r} has {word!r}, which is no part of a layout; {_EXAMPLE}")
    if found.get("interleave", 1.0) != 1.0:
        found.setdefault("schedule", "interleaved")
    return TrainLayout(**{**found, **changes})  # type: ignore[arg-type]


def every(recompute: str) -> float:
    """Layers between kept inputs where layers are recomputed: 1 of "full", 4 of "every 4"; refuses other words.

    >>> every("full"), every("every 4"), every("none")
    (1.0, 4.0, 0.0)
    """
    if recompute in RECOMPUTE:
        return 1.0 if recompute == "full" else 0.0
    found = re.fullmatch(r"every (\d+)", recompute)
    if not found or not int(found.group(1)):
        raise unknown("choice of recomputation", recompute, (*RECOMPUTE, "every 4"))
    return float(found.group(1))


# --- legality -----------------------------------------------------------------------------------------------------


def spare_slots(model: Model, layout: TrainLayout) -> Number:
    """Places for layers in all chunks of all stages that no layer takes.

    A stage's chunks are alike, so a pipeline has whole multiples of pp x interleave places. Embedding, head and draft
    layers may take a place each: 126 layers in 16 stages of 8 chunks leave 2.
    """
    parts = layout.pp * chunks(layout.schedule, layout.interleave)
    return np.ceil(model.n_layers / parts) * parts - model.n_layers


def illegal(model: Model, layout: TrainLayout, batch: Batch, devices: Number | None = None) -> dict[str, Mask]:
    """Why a layout cannot run: one sentence -> True where it applies. Rows with no reason are legal.

    >>> from rackmath.world import catalog
    >>> bad = illegal(catalog.model("llama-3.1-8b"), layout_of("TP8 PP5 DP2"), Batch(seq=8192, global_batch=63))
    >>> [reason for reason, applies in bad.items() if applies]
    ['layers do not divide by pp x interleave', 'the batch does not divide by dp x micro-batch']
    """
    every(layout.recompute)
    if layout.zero not in (0, 1, 2, 3):
        raise BadInput(f"ZeRO stage {layout.zero} does not exist; give 0, 1, 2 or 3")
    no = np.asarray(False)
    experts = no
    for group in model.groups:
        if group.ffn and group.ffn.n_experts:
            experts = experts | (group.ffn.n_experts % layout.ep != 0)
    recurrent = any(g.mixer and (g.mixer.state_elements or g.mixer.scan_flops) for g in model.groups)
    micro = batch.global_batch / (layout.dp * layout.micro_batch)
    whole = micro == np.floor(micro)
    ends = 2 + sum(g.count for g in model.draft)
    reasons = {
        "tp x pp x dp x cp is not the number of devices": no if devices is None else layout.devices != devices,
        **uncut(model, layout.tp),
        "experts do not divide by ep": experts,
        "ep does not divide the tp x cp x dp devices of a stage": layout.stage % layout.ep != 0,
        "ep without experts": (np.asarray(layout.ep) > 1) & (not model.has_experts),
        "a recurrent state cannot be split over cp": (np.asarray(layout.cp) > 1) & recurrent,
        "the sequence does not divide by 2 x cp": (np.asarray(layout.cp) > 1) & (batch.seq % (2 * layout.cp) != 0),
        "the sequence does not divide by tp, as sequence parallelism needs": layout.sequence_parallel
        & (batch.seq / layout.cp % layout.tp != 0),
        "more stages than layers": np.asarray(layout.pp) > model.n_layers,
        "layers do not divide by pp x interleave": spare_slots(model, layout) > np.where(np.asarray(layout.pp) > 1, ends, 0.0),
        "interleave is for the interleaved schedule only": (np.asarray(layout.interleave) > 1) & (layout.schedule != "interleaved"),
        "the batch does not divide by dp x micro-batch": ~whole,
        "the schedule cannot run these micro-batches": whole
        & ~np.asarray(possible(layout.schedule, layout.pp, np.floor(micro), layout.interleave)),
        "ZeRO 3 gathers weights for every micro-batch of every stage; give ZeRO 2 with pp": (layout.zero == 3)
        & (np.asarray(layout.pp) > 1),
    }
    shape = np.broadcast_shapes(
        *(np.shape(getattr(layout, f.name)) for f in fields(layout) if not isinstance(getattr(layout, f.name), str)),
        np.shape(batch.global_batch),
    )
    return {reason: np.broadcast_to(bad, shape) for reason, bad in reasons.items()}
