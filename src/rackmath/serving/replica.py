"""One replica: a model on a machine, cut in a layout and run by an engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import PassTime
from ..layout.footprint import Footprint, footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic
from .speculative import Speculation, beside, with_drafts


@dataclass(frozen=True, slots=True)
class Replica:
    """What serves: every number in it may be a column. With `speculation` a pass checks several drafts."""

    model: Model
    machine: Machine
    precision: Precision
    layout: Layout
    engine: Engine
    efficiency: Efficiency
    speculation: Speculation | None = None

    @property
    def width(self) -> Number:
        """Tokens that a pass computes for each decoding sequence."""
        return 1.0 if self.speculation is None else self.speculation.width

    @property
    def kept(self) -> Number:
        """Tokens that are kept of them on average."""
        return 1.0 if self.speculation is None else self.speculation.kept

    def steps(self, traffic: Traffic) -> Number:
        """Decode steps of a request after its first token, at least one."""
        return np.maximum((traffic.osl - 1) / self.kept, 1.0)

    def timed(self, work: Pass, *, keep: bool = False) -> PassTime:
        """Seconds of one pass, drafts included; `keep` retains the single operations."""
        of = (self.model, self.machine, self.precision, self.layout)
        found = forward(*of, work, self.efficiency, keep=keep)
        if self.speculation is None:
            return found
        return with_drafts(found, self.speculation, self.machine, self.layout, work, self.efficiency)

    def footprint(self, context: Number, prompt: Number = 0.0) -> Footprint:
        """Bytes on the fullest device, where sequences average `context` tokens and prompts have `prompt`."""
        of = (self.model, self.machine, self.precision, self.layout)
        holds = footprint(*of, self.engine, context, prompt)
        return holds if self.speculation is None else beside(holds, self.speculation, self.layout, context)
