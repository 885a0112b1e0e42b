"""What every operation of a pass needs: the cut model, its machine, and the tokens of the busiest rank."""

from __future__ import annotations

from ..arrays import Number
from ..kernel.achieved import Kernel
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Format, Precision
from .collectives import GroupLinks, links
from .parallelism import Layout

SWITCHED = ("NVIDIA", "AMD")
"""Makers whose devices reduce as the measured ones do."""


class PassJob:
    """What every operation of a pass needs, so that no function takes nine arguments."""

    __slots__ = ("efficiency", "layout", "machine", "model", "precision", "rank_tokens", "work")

    def __init__(
        self, model: Model, machine: Machine, precision: Precision, layout: Layout, work: Pass, efficiency: Efficiency, rank_tokens: Number
    ) -> None:
        self.model, self.machine, self.precision = model, machine, precision
        self.layout, self.work, self.efficiency = layout, work, efficiency
        self.rank_tokens = rank_tokens

    def links(self, n: Number, stride: Number = 1.0) -> GroupLinks:
        """The links of a group of n devices, as the engine uses them.

        How an all-reduce starts and cuts a message was measured on switched fabrics of GPUs; on others a phase takes
        the latency of one step.
        """
        of = self.efficiency
        kernel = of.kernel("all_reduce", "custom") if self.machine.vendor in SWITCHED else Kernel()
        return links(self.machine, n, of.link_share, stride=stride, kernel=kernel)

    def rate(self, fmt: Format) -> tuple[Number, Number, str]:
        """Peak FLOP/s of a format's operand type, that of the type an engine runs, and its kernels' type.

        A type the machine does not multiply is widened to 16 bits by engines (weights only); the bound grants the
        narrowest type that would do.
        """
        return self.machine.peak(fmt.compute), self.machine.rate(fmt.compute), kernel_type(fmt, self.machine)


def kernel_type(fmt: Format, machine: Machine) -> str:
    """The type of kernels that run a format: its own, or weights widened to 16 bits where the machine lacks it.

    >>> from rackmath.world import catalog
    >>> kernel_type(Precision.uniform("fp8").mlp, catalog.machine("a100"))
    'w8a16'
    """
    widened = "w4a16" if fmt.bytes < 0.75 else "w8a16" if fmt.bytes < 1.5 else "bf16"
    return fmt.kernel if machine.multiplies(fmt.compute) else widened
