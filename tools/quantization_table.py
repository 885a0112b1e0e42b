"""Write the tables of docs/concepts/quantisation.md from the data: python tools/quantization_table.py [--check]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generated import END, page

from rackmath.world.huggingface.methods import FACTS, ROWS
from rackmath.world.precision import FORMATS, GGUF, format_named

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "quantisation.md"
BEGIN = "<!-- begin generated: python tools/quantization_table.py -->"


def stored(row: dict[str, Any]) -> str:
    """What a method stores by default, as far as its row says it."""
    if "format" in row:
        return f"`{row['format']}`" + (" (experts only)" if row.get("experts") == "only" else "")
    if "bits" not in row:
        return "by its section"
    group, zero = row.get("group"), row.get("zero", 0)
    words = [f"{row['bits']} bits"]
    if group:
        words.append(f"scales of {row.get('scale', 16)} per {group:,}")
    if zero == "asymmetric":
        words.append("zero points" if row.get("asymmetric") else "zero points if asymmetric")
    elif zero:
        words.append(f"zero points of {zero}")
    return ", ".join(words)


def table() -> str:
    """The generated part of the page."""
    lines = [BEGIN, "", "### Methods", "", "| `quant_method` | by default | what is read |", "|---|---|---|"]
    for row in ROWS:
        names = ", ".join(f"`{name}`" for name in row["names"])
        lines.append(f"| {names} | {stored(row)} | {row['said']} |")
    strategies = "tensor, channel, group, block; whole numbers of 1 to 8 bits, floating point of 4, 6, 8; 2:4 and masks"
    lines.append(f"| `compressed-tensors` | by its groups | all strategies: {strategies}; targets, schemes by name |")
    algorithms = ", ".join(f"`{name.upper()}`" for name in FACTS["algorithms"])
    lines += ["", f"`quant_algo` and `quantized_layers` (ModelOpt, ModelSlim): {algorithms}.", ""]
    classes = ", ".join(f"`{name}`" for name in (*FACTS["torchao"]["fixed"], *FACTS["torchao"]["grouped"]))
    lines += [f"Classes of torchao, in any spelling: {classes}.", ""]
    lines += ["### Formats by name", "", "| format | bits a weight | products | note |", "|---|---|---|---|"]
    for name, one in FORMATS.items():
        if name not in GGUF["files"] and not name.startswith("ggml_"):
            lines.append(f"| `{name}` | {8 * one.bytes:.6g} | {one.compute} | {one.note} |")
    lines += ["", "### GGUF", "", "| type of block | bits a weight | block |", "|---|---|---|"]
    lines += [f"| `{name}` | {of['bits']:g} | {of['block']} |" for name, of in GGUF["types"].items()]
    lines += ["", "| mixture | bits a weight (a Llama of 8 billion) | other names |", "|---|---|---|"]
    for name in GGUF["files"]:
        others = ", ".join(f"`{alias}`" for alias, of in GGUF["aliases"].items() if of == name)
        lines.append(f"| `{name}` | {8 * format_named(name).bytes:.3g} | {others} |")
    return "\n".join([*lines, "", END])


def main() -> None:
    page(DOCS, {BEGIN: table()})


if __name__ == "__main__":
    main()
