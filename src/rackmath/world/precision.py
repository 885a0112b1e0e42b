"""Number formats: bytes stored per weight or cache entry, and the peak a multiplication runs at."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from .. import shipped
from ..errors import BadInput, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A storage format. `bytes` includes block scales; `compute` is the operand type of its matrix products.

    `like`: the format whose kernels run it, where that is another one.
    """

    name: str
    bytes: float
    compute: str
    note: str = ""
    like: str = ""

    @property
    def kernel(self) -> str:
        """The name its kernels go by."""
        return self.like or self.name


GGUF = shipped.read(shipped.FACTS / "gguf.toml")
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
        ("w4a16", 0.5 + 2 / 128, "bf16", "4-bit weights, 16-bit products, a 2-byte scale per 128 (GPTQ, AWQ)"),
        ("w4a16_g32", 0.5 + 2 / 32, "bf16", "4-bit weights, 16-bit products, a 2-byte scale per 32"),
        ("nvfp4_w4a16", 0.5 + 1 / 16, "bf16", "nvfp4 weights, 16-bit products"),
        ("w4a8", 0.5 + 2 / 128, "fp8", "4-bit weights, 8-bit products, a 2-byte scale per 128"),
        ("nf4", 0.5 + 4 / 64, "bf16", "bitsandbytes: a 4-byte scale per 64 weights"),
        ("nf4_double", 0.5 + 1 / 64 + 4 / 64 / 256, "bf16", "bitsandbytes: 8-bit scales with scales of their own"),
        ("w8a16", 1.0, "bf16", "8-bit weights, 16-bit products, one scale per channel"),
        ("bitnet", 0.25, "int8", "ternary weights, four in a byte"),
    )
    plain = {name: Format(name=name, bytes=b, compute=c, note=n) for name, b, c, n in rows}
    blocks = {
        f"ggml_{name}": Format(name=f"ggml_{name}", bytes=of["bits"] / 8, compute="bf16", note="a type of GGUF blocks")
        for name, of in GGUF["types"].items()
    }
    return (
        plain
        | blocks
        | {
            name: Format(name=name, bytes=of["bits"] / 8, compute="bf16", note=f"GGUF: {of['bits']} bits a weight")
            for name, of in GGUF["files"].items()
        }
    )


FORMATS = _formats()
ALIASES = {
    "fp16": "bf16",
    "f16": "bf16",
    "float16": "bf16",
    "bfloat16": "bf16",
    "float32": "fp32",
    "int4": "w4a16",
    "awq": "w4a16",
    "gptq": "w4a16",
    "gptq_int4": "w4a16",
    "awq_int4": "w4a16",
    "gptq_int8": "w8a16_g128",
    "w8a8": "int8",
    "w8a8_int8": "int8",
    "int8_wo": "w8a16",
    "bnb": "nf4_double",
    "bnb_4bit": "nf4_double",
    "bnb_8bit": "int8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_dynamic": "fp8",
    "w8a8_fp8": "fp8",
    "nvfp4a16": "nvfp4_w4a16",
    **GGUF["aliases"],
}

_SENT = {"fp4": "nvfp4", "fp8": "fp8_g128", "int8": "int8", "bf16": "bf16"}


def format_named(name: str) -> Format:
    """The format with this name.

    >>> format_named("NVFP4").bytes
    0.5625
    >>> format_named("fp16").name
    'bf16'

    Beside the listed ones, any width in the grammar `w3a16_g64_z`: weights of 3 bits (`f`: floating point) times
    activations of 16, 8, `f8` or 4 bits; a scale per 64 weights (`_c`: per channel or counted in the bits); `_s8` a
    scale of 8 bits (else of 16); `_z` a zero point as wide as a weight (`_z16`: of 16 bits); `_24` two of four
    weights kept, with a bit for each to say where. And a mixture of formats by share.

    >>> format_named("w3a16_g64_z").bytes * 8                           # 3 + 16 / 64 + 3 / 64
    3.296875
    >>> format_named("f4a4_g32_s8").bytes == format_named("mxfp4").bytes, format_named("w4a16_g128_24").bytes * 8
    (True, 3.125)
    >>> format_named("75% w4a16 + 25% bf16").bytes
    0.88671875
    """
    key = name.strip().lower().replace("-", "_")
    key = ALIASES.get(key, key)
    found = FORMATS.get(key) or _spelled(key) or _mixture(name.strip())
    if found is None:
        raise unknown("number format", name, [*FORMATS, *ALIASES])
    return found


_SPELLED = re.compile(
    r"(?P<kind>[wf])(?P<bits>\d{1,2}(?:\.\d{1,6})?)a(?P<act>16|f?8|4)_(?:g(?P<group>\d{1,9})|c)"
    r"(?:_s(?P<scale>\d{1,2}))?(?P<zero>_z\d{0,2})?(?P<sparse>_24)?"
)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)% (\S+)")


@cache
def _spelled(key: str) -> Format | None:
    match = _SPELLED.fullmatch(key)
    if match is None:
        return None
    bits, group, act = float(match["bits"]), float(match["group"] or 0), match["act"]
    if not 1 <= bits <= 16 or (match["group"] and not group):
        return None
    zero = 0.0 if match["zero"] is None else float(match["zero"][2:] or bits)
    stored = bits / 2 + 1 if match["sparse"] else bits
    size = (stored + ((float(match["scale"] or 16) + zero) / group if group else 0.0)) / 8
    floating = match["kind"] == "f"
    compute = "bf16" if act == "16" else "fp4" if floating and act == "4" else "fp8" if floating or act == "f8" else "int8"
    narrow, wide = {"bf16": ("w4a16", "w8a16"), "fp8": ("w4a8", "fp8"), "int8": ("w4a8", "int8")}.get(compute, ("nvfp4", "fp8"))
    note = f"{match['bits']}-bit weights, {act.lstrip('f')}-bit products"
    return Format(name=key, bytes=size, compute=compute, note=note, like=narrow if bits <= 4.5 else wide)


@cache
def _mixture(name: str) -> Format | None:
    """Formats by share; their products run as those of the largest."""
    parts = [_SHARE.fullmatch(part) for part in name.split(" + ")]
    if not all(parts):
        return None
    shares = [(float(match[1]), format_named(match[2])) for match in parts if match]
    total = sum(share for share, _ in shares)
    if not 99 <= total <= 101:
        raise BadInput(f"the shares of the number format {name!r:.80} sum to {total:g} %; make it 100")
    most = max(shares, key=lambda one: one[0])[1]
    size = sum(share * each.bytes for share, each in shares) / total
    return Format(name=name, bytes=size, compute=most.compute, note="a mixture", like=most.kernel)


def mixed(shares: dict[str, float], total: float) -> str:
    """The name of the format of parameters of which `shares` are in the formats named.

    A format is left out where the bytes would change by less than half a percent.

    >>> mixed({"w4a16": 3e9, "bf16": 1e9, "fp8": 1.0}, 4e9)
    '75% w4a16 + 25% bf16'
    """
    most = format_named(max(shares, key=lambda name: shares[name])).bytes
    kept = {name: share for name, share in shares.items() if share / total * max(1.0, format_named(name).bytes / most - 1) > 0.005}
    if len(kept) == 1:
        return next(iter(kept))
    whole = sum(kept.values())
    ranked = sorted(kept.items(), key=lambda one: -one[1])
    return " + ".join(f"{100 * share / whole:.4g}% {name}" for name, share in ranked)


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
        return cls(name=f.name, attention=f, mlp=f, experts=f, shared_experts=f, embedding=f, head=f, router=f, norm=f, kv=format_named(kv))

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
