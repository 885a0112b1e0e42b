"""Sources of reported training runs, and what is read into their rows beyond what these state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadInput
from .answer import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """What is read into the rows of one source, beyond what they state."""

    name: str
    framework: str
    count: str  # a way of counting of `training.flops`
    attention: str = "flash"
    dropout: bool = False
    gated: bool = False
    vocab: float = 51200.0
    scaleout: float | None = None  # B/s of a device, where it is not the accelerator's usual network
    gradient_bytes: float = 4.0
    zero: int = 0  # ZeRO stage, where a row's note names none
    tp: float | None = None
    ep: float = 1.0
    micro_batch: float | None = None
    best: tuple[str, ...] = ()  # fields of the layout the source says it chose for the fastest run
    why: str = ""


SOURCES: Mapping[str, RunSource] = {
    "Narayanan": RunSource(
        name="Narayanan 2021",
        framework="megatron",
        count="narayanan",
        attention="unfused",
        dropout=True,
        best=("micro_batch", "interleave"),
        gradient_bytes=2.0,
        why="micro-batch and interleaving were the best of those tried, and are not tabulated",
    ),
    "ZeRO-3": RunSource(
        name="ZeRO 3 of 2021",
        framework="megatron-deepspeed",
        count="narayanan",
        attention="unfused",
        dropout=True,
        gradient_bytes=2.0,
        why="Narayanan et al.'s Table 2, beside their own runs",
    ),
    "Korthikanti": RunSource(
        name="Korthikanti 2022",
        framework="megatron",
        count="korthikanti",
        attention="unfused",
        dropout=True,
        why="16-bit mixed precision with 32-bit gradients: 18 bytes a parameter, as its Figure 1 shows",
    ),
    "MT-NLG": RunSource(
        name="MT-NLG 2022",
        framework="megatron-deepspeed",
        count="narayanan",
        attention="unfused",
        dropout=True,
        why="1F1B without interleaving",
    ),
    "BLOOM": RunSource(
        name="BLOOM 2022",
        framework="megatron-deepspeed",
        count="narayanan",
        attention="unfused",
        best=("micro_batch",),
        zero=1,
        why="ZeRO 1; micro-batch not stated",
    ),
    "BloombergGPT": RunSource(
        name="BloombergGPT 2023",
        framework="fsdp",
        count="narayanan",
        attention="unfused",
        vocab=131072.0,
        best=("micro_batch",),
        gradient_bytes=2.0,
        scaleout=6.25e9,
        why="ZeRO 3; 64 nodes of p4d.24xlarge, whose 400 Gb/s of EFA eight devices share",
    ),
    "vTrain": RunSource(
        name="vTrain",
        framework="megatron-deepspeed",
        count="narayanan",
        attention="unfused",
        dropout=True,
        scaleout=12.5e9,
        gradient_bytes=2.0,
        why="vocabulary not stated: 51,200; four HDR links for eight devices of a node",
    ),
    "Zero Bubble": RunSource(
        name="zero bubble 2024",
        framework="megatron",
        count="korthikanti",
        attention="unfused",
        dropout=True,
        vocab=32000.0,
        why="shapes by parameter count; one layer a chunk where interleaved; GB are read as GiB",
    ),
    "Llama 3 herd": RunSource(
        name="Llama 3 2024",
        framework="typical",
        count="megatron",
        gated=True,
        best=("interleave",),
        zero=2,
        micro_batch=1.0,
        why="micro-batch of 1 and the best interleaving; ZeRO 2 (FSDP that keeps weights gathered)",
    ),
    "DeepSeek-V3": RunSource(
        name="DeepSeek-V3 2024",
        framework="dualpipe",
        count="megatron",
        gated=True,
        zero=1,
        tp=1.0,
        ep=64.0,
        micro_batch=1.0,
        why="DualPipe, micro-batch 1, expert parallelism over 64",
    ),
    "Megatron-Bridge": RunSource(
        name="Megatron-Bridge, dense",
        framework="megatron-bridge",
        count="megatron",
        gated=True,
        zero=1,
        why="recomputation not stated: none; the distributed optimizer (ZeRO 1), or FSDP where the note says so",
    ),
    "routed": RunSource(
        name="Megatron-Bridge, routed",
        framework="megatron-bridge",
        count="megatron",
        gated=True,
        zero=1,
        why="as the dense rows; loads of experts were forced to be equal",
    ),
    "Megatron-LM README": RunSource(
        name="Megatron-LM README",
        framework="megatron-bridge",
        count="megatron",
        gated=True,
        zero=1,
        why="recomputation not stated: none; the distributed optimizer (ZeRO 1)",
    ),
    "llm-foundry": RunSource(
        name="llm-foundry",
        framework="fsdp",
        count="llm-foundry",
        vocab=50368.0,
        why="16-bit gradients where everything is in 16 bits (mode PURE), else 32-bit",
    ),
    "MaxText": RunSource(
        name="MaxText",
        framework="maxtext",
        count="maxtext",
        vocab=32000.0,
        zero=3,
        why="FSDP over all chips of a slice and over slices; shapes of v5e by the rule of its configurations",
    ),
}
"""Sources by a part of their name."""


def source_of(row: Text) -> RunSource:
    """The source of a row; refuses one that is not known."""
    paper = row.get("paper_or_repo", "")
    if "Narayanan" in paper and "ZeRO-3" in row.get("model", ""):
        return SOURCES["ZeRO-3"]
    if "Megatron-Bridge" in paper and "LLAMA" not in row.get("model", ""):
        return SOURCES["routed"]
    for part, known in SOURCES.items():
        if part in paper:
            return known
    raise BadInput(f"nothing is known of how {paper or 'an unnamed source'} trained: its layout is not stated")
