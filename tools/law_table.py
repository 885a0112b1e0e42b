"""Write the table of docs/concepts/laws.md from the packaged laws: python tools/law_table.py [--check]."""

from __future__ import annotations

from pathlib import Path

from generated import END, page

from rackmath.scaling.laws import WORDS, Law, amount, laws

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "laws.md"
BEGIN = "<!-- begin generated: python tools/law_table.py -->"


def row(one: Law) -> str:
    """One line: the law, its coefficients, what N counts, the box, and how far it was checked."""
    numbers = ", ".join(f"{key} {float(value):.6g}" for key, value in one.coefficients.items())
    box = "; ".join(f"{WORDS[key]} {amount(low, key)} to {amount(high, key)}" for key, (low, high) in one.box.items())
    drawn = "yes" if one.sample is not None else "no"
    return f"| `{one.name}` | {one.form} | {numbers} | {one.params} | {box} | {drawn} | {one.standing} | {one.source} |"


def table() -> str:
    """The generated part of the page."""
    forms = {one.form: one.family.formula for one in laws().values()}
    lines = [BEGIN, "", "| form | formula |", "|---|---|"]
    lines += [f"| {name} | `{formula}` |" for name, formula in forms.items()]
    lines += ["", "| law | form | coefficients | N counts | runs behind it | interval | standing | source |"]
    lines += ["|---|---|---|---|---|---|---|---|", *(row(one) for one in laws().values()), "", END]
    return "\n".join(lines)


def main() -> None:
    page(DOCS, {BEGIN: table()})


if __name__ == "__main__":
    main()
