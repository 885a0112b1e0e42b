"""Lines of each room, and what is larger than a room's rules allow.

python tools/size.py             print lines by room
python tools/size.py --check     exit 1 where a budget is passed, or something too large is not an exception
python tools/size.py --record    write the exceptions as they are (they may only become fewer)

Budgets and exceptions stand in tools/size.toml. Lines are those after the formatter, with blanks and comments.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "rackmath"
RULES = ROOT / "tools" / "size.toml"

LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 400, 60, 8


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(SOURCE.rglob("*.py"))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def rooms() -> Counter[str]:
    """Lines by room; modules of the ground floor together; `calibration` lies outside `src`."""
    found: Counter[str] = Counter()
    for path in modules():
        inside = path.relative_to(SOURCE).parts
        found[inside[0] if len(inside) > 1 else "ground"] += lines(path)
    return found


def scripts() -> list[Path]:
    """What fits constants, outside the package."""
    return sorted((ROOT / "calibration").glob("*.py"))


def too_large() -> dict[str, list[str]]:
    """Modules, functions and parameter lists beyond the rules, and class names that are borne twice."""
    found: dict[str, list[str]] = {"modules": [], "functions": [], "parameters": [], "classes": []}
    borne: Counter[str] = Counter()
    for path in [*modules(), *scripts()]:
        name = str(path.relative_to(SOURCE if SOURCE in path.parents else ROOT))
        if lines(path) > LONGEST_MODULE:
            found["modules"].append(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        borne.update(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        for function in functions(tree):
            of = function.args
            where = f"{name}: {function.name}"
            if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION:
                found["functions"].append(where)
            if len([*of.posonlyargs, *of.args, *of.kwonlyargs]) > MOST_PARAMETERS:
                found["parameters"].append(where)
    found["classes"] = [name for name, n in borne.items() if n > 1 and not name.startswith("_")]
    return {kind: sorted(set(names)) for kind, names in found.items()}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def complaints() -> list[str]:
    """What passes a budget or a rule, and exceptions that are none any more; one sentence each."""
    rules, found, said = tomllib.loads(RULES.read_text(encoding="utf-8")), rooms(), []
    for name, budget in rules["budgets"].items():
        size = sum(found.values()) if name == "src" else sum(found[room] for room in budget["rooms"])
        if size > budget["lines"]:
            said.append(f"{name}: {size:,} lines, {budget['lines']:,} allowed")
    for kind, names in too_large().items():
        kept = rules["exceptions"].get(kind, [])
        said += [f"{kind}: {name} is too large, or borne twice" for name in names if name not in kept]
        said += [f"{kind}: {name} is no exception any more; take it out" for name in kept if name not in names]
    return said


def record() -> None:
    """Write today's exceptions beside the budgets."""
    text = RULES.read_text(encoding="utf-8").partition("[exceptions]")[0]
    parts = [f"{kind} = [\n" + "".join(f'  "{n}",\n' for n in names) + "]\n" for kind, names in too_large().items()]
    RULES.write_text(text + "[exceptions]\n" + "\n".join(parts), encoding="utf-8")


def main() -> int:
    if "--record" in sys.argv[1:]:
        record()
    if "--check" in sys.argv[1:]:
        said = complaints()
        print("\n".join(said) or "every room keeps its budget")
        return 1 if said else 0
    found = rooms()
    for name, size in found.most_common():
        print(f"{name:<12} {size:>7,}")
    print(f"{'src':<12} {sum(found.values()):>7,}")
    for kind, names in too_large().items():
        print(f"{kind} beyond the rules: {len(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
