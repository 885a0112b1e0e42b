"""What llama.cpp's kernels reach, by class of device: shares of peak and the seconds between kernels.

Fitted on published speeds of one sequence (`calibration.llamacpp` writes `data/fitted/llamacpp.toml`). Blocks of few
bits are unpacked while they are read, so weights of a GGUF file reach a share of the bandwidth of their own. Ollama
and LM Studio run the same kernels; MLX is taken to read as fast (no run of it was fitted).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from .. import shipped
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.precision import GGUF
from .efficiency import Efficiency, calibrated

CLASSES = ("geforce", "workstation", "hbm", "unified")
"""Classes of devices that llama.cpp's kernels treat alike; see `data/fitted/llamacpp.toml`."""

KINDS = ("gemm", "experts", "attention_decode", "mla_decode", "attention_prefill", "mla_prefill", "elementwise", "scan", "scan_prefill")

STEP = 2e-4
"""Seconds around a token: sampling. Not fitted apart from the launches."""


def class_of(machine: Machine) -> str:
    """The class of a device.

    >>> from rackmath.world import catalog
    >>> [class_of(catalog.machine(name)) for name in ("4090", "l40s", "a100", "m2-ultra")]
    ['geforce', 'workstation', 'hbm', 'unified']
    """
    if machine.vendor == "Apple" or machine.memory_type.startswith("LPDDR"):
        return "unified"
    if "HBM" in machine.memory_type:
        return "hbm"
    return "geforce" if "geforce" in machine.accelerator.lower() else "workstation"


def constants_of(memory_share: float, launch: float, compute_share: float, packed: float = 1.0) -> Efficiency:
    """The efficiency with these shares for every kind of kernel, and so many seconds between kernels.

    `packed`: factor of the memory share for weights in the blocks of a GGUF file.
    """
    names = (*GGUF["files"], *(f"ggml_{name}" for name, of in GGUF["types"].items() if of["bits"] < 16))
    blocks = {f"{kind}.{name}": min(memory_share * packed, 1.0) for kind in KINDS[:2] for name in names}
    return Efficiency(
        compute_share=dict.fromkeys(KINDS, compute_share),
        memory_share=dict.fromkeys(KINDS, memory_share) | blocks,
        launch=launch,
        step_overhead=STEP,
        source="fitted: llama.cpp",
    )


HOST = {"memory_share": 0.5, "launch": 1e-5, "compute_share": 0.5}
"""What processors reach beside a card: half of their bandwidth, chosen on the public speeds of `evidence.host_runs`
(alone they reached 75 % in one of them). The time between kernels, in which threads wait for each other, and the
share of the peak are assumptions."""


def of_host() -> Efficiency:
    """What llama.cpp reaches on the processors of a host: not fitted.

    >>> of_host().memory_share["gemm"], of_host().step_overhead
    (0.5, 0.0)
    """
    return replace(constants_of(**HOST), step_overhead=0.0, source="chosen on public speeds: llama.cpp beside a card")


@cache
def _fitted() -> dict[str, Any]:
    return shipped.read(shipped.FITTED / "llamacpp.toml")


def of_machine(machine: Machine) -> Efficiency:
    """What llama.cpp reaches on a device of this class.

    >>> from rackmath.world import catalog
    >>> 0.5 < of_machine(catalog.machine("rtx-4090")).memory_share["gemm"] <= 1
    True
    """
    found = _fitted()[class_of(machine)]
    return constants_of(found["memory_share"], found["launch"], found["compute_share"], found.get("packed", 1.0))


def constants(machine: Machine, engine: Engine) -> Efficiency:
    """Constants of a device under an engine: those of llama.cpp for local ones, else the generation's.

    >>> from rackmath.world import catalog
    >>> from rackmath.world.engine_names import engine
    >>> constants(catalog.machine("rtx-4090"), engine("ollama")).source
    'fitted: llama.cpp'
    """
    return of_machine(machine) if engine.local else calibrated(machine.generation, engine)
