"""Number formats: bytes stored per weight or cache entry, and the peak a multiplication runs at."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files

from ..errors import BadInput, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A storage format. `bytes` includes block scales; `compute` is the operand type of its matrix products."""

    name: str
    bytes: float
    compute: str
    note: str = ""


GGUF = tomllib.loads((files("rackmath") / "data" / "gguf.toml").read_text(encoding="utf-8"))
"""Mixtures of block types in GGUF files and the names they go by; `world.gguf` reads them for a model."""


def _formats() -> dict[str, Format]:
    rows = (
        ("fp32", 4.0, "bf16", "products run at the 16-bit tensor peak"),
        ("bf16", 2.0, "bf16", ""),
        ("fp8", 1.0, "fp8", "one scale per tensor or channel"),
        ("fp8_g128", 1.0 + 4 / 128, "fp8", "a 4-byte scale per 128 values, as activations are sent to experts"),
        ("fp8_block", 1.0 + 4 / 128**2, "fp8", "a 4-byte scale per 128 x 128 block"),
        ("mxfp8", 1.0 + 1 / 32, "fp8", "a 1-byte scale per 32 weights"),
        ("int8", 1.0, "int8", "one scale per channel"),
        ("nvfp4", 0.5 + 1 / 16, "fp4", "a 1-byte scale per 16 weights"),
        ("mxfp4", 0.5 + 1 / 32, "fp4", "a 1-byte scale per 32 weights"),
        ("fp4", 0.5, "fp4", "four bits and no scales: the lecture's half byte"),
        (
            "w4a16",
            0.5 + 2 / 128,
            "bf16",
            "4-bit weights, 16-bit products, a 2-byte scale per 128 (GPTQ, AWQ)",
        ),
        ("w4a16_g32", 0.5 + 2 / 32, "bf16", "4-bit weights, 16-bit products, a 2-byte scale per 32"),
        ("nvfp4_w4a16", 0.5 + 1 / 16, "bf16", "nvfp4 weights, 16-bit products"),
        ("w4a8", 0.5 + 2 / 128, "fp8", "4-bit weights, 8-bit products, a 2-byte scale per 128"),
    )
    plain = {name: Format(name=name, bytes=b, compute=c, note=n) for name, b, c, n in rows}
    return plain | {
        name: Format(name=name, bytes=of["bits"] / 8, compute="bf16", note=f"GGUF: {of['bits']} bits a weight")
        for name, of in GGUF["files"].items()
    }


FORMATS = _formats()
ALIASES = {
    "fp16": "bf16",
    "f16": "bf16",
    "float16": "bf16",
    "bfloat16": "bf16",
    "float32": "fp32",
    "int4": "w4a16",
    **GGUF["aliases"],
}

_SENT = {"fp4": "nvfp4", "fp8": "fp8_g128", "int8": "int8", "bf16": "bf16"}


def format_named(name: str) -> Format:
    """The format with this name.

    >>> format_named("NVFP4").bytes
    0.5625
    >>> format_named("fp16").name
    'bf16'
    """
    key = name.strip().lower().replace("-", "_")
    found = FORMATS.get(ALIASES.get(key, key))
    if found is None:
        raise unknown("number format", name, [*FORMATS, *ALIASES])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """The format of every part of a model, and of its cache.

    >>> Precision.uniform("fp8").experts.bytes
    1.0
    """

    name: str
    attention: Format = FORMATS["bf16"]
    mlp: Format = FORMATS["bf16"]
    experts: Format = FORMATS["bf16"]
    shared_experts: Format = FORMATS["bf16"]
    router: Format = FORMATS["bf16"]
    embedding: Format = FORMATS["bf16"]
    head: Format = FORMATS["bf16"]
    norm: Format = FORMATS["bf16"]
    kv: Format = FORMATS["bf16"]
    index: Format | None = None  # keys of a sparse-attention indexer; None: as the model's engines keep them
    state: Format = FORMATS["fp32"]  # buffers of a compressed cache
    activation_bytes: float = 2.0
    dispatch: Format | None = None  # how tokens travel to experts; None: as the experts multiply
    combine: Format = FORMATS["bf16"]  # how results travel back

    @classmethod
    def uniform(cls, name: str, kv: str = "bf16") -> Precision:
        """Every quantisable part (attention, MLP, experts) in one format; embeddings, head and router in BF16."""
        f = format_named(name)
        if f.bytes < FORMATS["bf16"].bytes:
            return cls(name=f.name, attention=f, mlp=f, experts=f, shared_experts=f, kv=format_named(kv))
        return cls(
            name=f.name, attention=f, mlp=f, experts=f, shared_experts=f, embedding=f, head=f, router=f, norm=f,
            kv=format_named(kv),
        )  # fmt: skip

    def with_kv(self, kv: str) -> Precision:
        """The same weights with another cache format; an indexer's keys keep their own."""
        return replace(self, kv=format_named(kv))

    @property
    def sent(self) -> Format:
        """The format tokens travel to experts in.

        Unless stated it is the operand type of the experts' products: quantising before sending loses nothing that
        the product would not. Results come back in 16 bits, since they are still to be summed.

        >>> Precision.uniform("fp8").sent.name, Precision.uniform("w4a16").sent.name
        ('fp8_g128', 'bf16')
        """
        return self.dispatch or FORMATS[_SENT[self.experts.compute]]

    def of(self, component: str) -> Format:
        """The format of one component of `rackmath.world.model.COMPONENTS`."""
        found = getattr(self, component, None)
        if not isinstance(found, Format):
            raise BadInput(f"no number format is kept for the component {component!r}")
        return found
