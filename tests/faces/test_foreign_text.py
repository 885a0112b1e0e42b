"""Text from files: no terminal obeys it, no shell runs it, no spreadsheet computes it."""

from __future__ import annotations

import csv
import io
import json
import shlex
import unicodedata
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from rackmath import text
from rackmath.faces import charts, cli, export, show
from rackmath.world import catalog

EVIL = "=evil\x1b]0;t\x07\x1b[31m\u202e\x9b2J\x7f[/] [bold]b[/bold] \\ ; touch P #\u2028\ud800"


def _raw(shown: str, keep: str = "\n") -> list[str]:
    """Letters that a terminal would obey."""
    return [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in keep]


# --- the doors ----------------------------------------------------------------------------------------------------


@given(st.text())
def test_legible_text_has_no_controls_and_stays_as_it_is(given_text: str) -> None:
    shown = text.legible(given_text)
    assert not _raw(shown, keep="")
    assert text.legible(shown) == shown
    if not _raw(given_text, keep="") and given_text.isprintable():
        assert shown == given_text


@given(st.text(max_size=400), st.text(max_size=400))
def test_a_sentence_is_one_line_and_quotes_little(first: str, second: str) -> None:
    said = text.sentence(f"{first!r} is no {second}")
    assert not _raw(said, keep="")
    assert max(map(len, said.split(" ")), default=0) <= text.LONGEST_QUOTE + 20
    assert len(text.sentence(f"unknown model {'long name ' * 100!r}; see the list")) < 140


@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.lists, max_leaves=9))
def test_json_is_legible_and_means_the_same(value: object) -> None:
    shown = export.json_text({"value": value})
    assert not _raw(shown)
    shown.encode()
    assert json.loads(shown) == {"value": export.plain(value)}


@given(st.text())
def test_no_cell_is_a_formula(given_text: str) -> None:
    found = text.cell(given_text)
    assert not _raw(found, keep="\n\t")
    if found.lstrip()[:1] in tuple("=+-@"):
        assert not found.strip("=+-@＝＋－＠\t\r\n ") or isinstance(float(found), float)
    assert found in (text.legible(given_text, keep="\n\t"), "'" + text.legible(given_text, keep="\n\t"))


@pytest.mark.parametrize("formula", ["=1+1", "+1+1", "-1+1|'cmd'!A", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_formulas_are_neutralised_in_cells_and_heads(formula: str) -> None:
    table = list(csv.reader(io.StringIO(export.csv_text([{formula: formula, "tpot": -0.5, "batch": "-12.5e3"}]))))
    for line in table:
        assert not line[0].startswith(("=", "+", "-", "@", "\t", "\r", " ", "＝"))
    assert table[1][1:] == ["-0.5", "-12.5e3"]


@pytest.mark.parametrize("width", [40, 80])
def test_a_console_shows_escapes_whoever_prints(width: int) -> None:
    from rich.panel import Panel

    for coloured in (False, True):
        out = io.StringIO()
        c = show.console(out, width=width)
        c._force_terminal = coloured
        table = show.numbers("name", "size")
        table.add_row("\x1b[2J\x9bm\u202e", "\x07\x1b[1m")
        table.add_row(Text("\x1b[2J"), Text("\x9bm"))
        show.indented(c, table)
        show.heading(c, "\x1b[2Jtitle", "\x1baside\n")
        show.line(c, "\x1b]8;;http://x\x1b\\link")
        show.notes(c, ["\x1b[0mnote"])
        c.print(Panel(Text("\x1b[3m in a panel"), title="\x1b[4m title"), "\x1b[5m", Text.assemble("\x9b6m"))
        show.bar(c, {"\x1b[7m part": 1.0}, unit="B")
        shown = out.getvalue()
        assert not _raw(shown)
        assert max(map(len, shown.splitlines())) <= width
        for escape in ("\\x1b[2J\\x9bm\\u202e", "\\x1b[1m", "\\x1b[2Jtitle", "\\x1b[0mnote", "\\x1b[7m part"):
            assert escape in shown, escape


def test_charts_show_escapes(tmp_path: Path) -> None:
    spec = charts.curve(
        [charts.Series(EVIL, [1, 2], [3, 4]), charts.Series("b\x1b[1m", [1, 2], [3, 5])],
        title=EVIL,
        x=charts.Axis("x\x07"),
        y=charts.Axis("y"),
        marks=[charts.Mark("m\x1b[2J", 1.5)],
    )
    assert not _raw(charts.draw(spec, 80, 20, False))
    for suffix in ("json", "svg", "html"):
        written = charts.write(spec, tmp_path / f"chart.{suffix}").read_text(encoding="utf-8")
        head, _, data = written.partition("const given =") if suffix == "html" else ("", "", written)
        assert not _raw(data)
        assert "\\x1b[31m" in data.replace("\\\\", "\\"), suffix
        assert not _raw(head.partition("<script")[0])


# --- commands -----------------------------------------------------------------------------------------------------


MODEL, NODE, TRAFFIC = "meta-llama/Llama-3.1-8B", "8xh100", ("--isl", "100", "--osl", "10")


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue whose every text is an attack."""
    model, machine = catalog.model, catalog.machine
    attack = {"name": EVIL, "accelerator": EVIL, "vendor": EVIL, "memory_type": EVIL, "architecture": EVIL}

    def hostile(found: Any) -> Any:
        return replace(found, **{f.name: attack[f.name] for f in fields(found) if f.name in attack})

    monkeypatch.setattr(catalog, "model", lambda *a, **of: hostile(model(*a, **of)))
    monkeypatch.setattr(catalog, "machine", lambda *a, **of: hostile(machine(*a, **of)))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--explain",)], ids=lambda f: f[0] if f else "screen")
@pytest.mark.parametrize("command", ["plan", "forward", "batch", "memory", "models", "machines", "timeline", "tiers"])
def test_no_command_hands_it_on(command: str, form: tuple[str, ...], renamed: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"models": [MODEL], "machines": [NODE], "plan": [MODEL, "--on", NODE, *TRAFFIC]}
    assert cli.run([command, *words.get(command, [MODEL, "--on", NODE]), *form]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert not _raw(said.out)
    if form == ():
        assert "\\x1b[31m" in said.out.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(
    "words",
    [
        ["plan", MODEL, "--on", f"{NODE},8xh200", *TRAFFIC],
        ["drains", "--on", NODE],
        ["racks", MODEL, "--on", NODE],
        ["tiers", MODEL, "--on", NODE],
        ["cadence", MODEL, "--on", NODE],
        ["machines"],
        ["models"],
    ],
    ids=lambda w: " ".join(w[:2]),
)
@pytest.mark.parametrize("attack", ["[/]", "a[bold]b[/bold]c", "\\", "[link=http://x]y[/link]"])
def test_brackets_of_others_are_no_markup(
    words: list[str], attack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, machine, machines = catalog.model, catalog.machine, catalog.machines
    monkeypatch.setattr(catalog, "model", lambda *a, **of: replace(model(*a, **of), name=attack))

    def renamed(name: object, *more: object, **of: object) -> object:
        known = NODE if name == attack else name  # a list looks its own names up again
        return replace(machine(known, *more, **of), name=attack, memory_type=attack)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog, "machine", renamed)
    monkeypatch.setattr(catalog, "machines", lambda: [replace(one, name=attack) for one in machines()])
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert attack in out.replace("\n", " ") or words[0] == "models"


def test_launch_commands_are_words_of_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixer = {"kind": "gqa", "n_heads": 4, "n_kv_heads": 2}
    groups = [{"count": 2, "mixer": mixer, "ffn": {"kind": "mlp", "d_ff": 128}}]
    for name, word in {
        "x; touch PWNED #": "x; touch PWNED #",
        "a'b$(touch PWNED)`id`": "a'b$(touch PWNED)`id`",
        "--config evil.yaml": "./--config evil.yaml",
        "{model} {0}": "{model} {0}",
    }.items():
        path = tmp_path / "evil.json"
        path.write_text(json.dumps({"name": name, "d_model": 64, "vocab": 100, "groups": groups}))
        assert cli.run(["plan", str(path), "--on", NODE, *TRAFFIC, "--launch", "--json"]) == 0
        commands = json.loads(capsys.readouterr().out)["commands"]
        assert len(commands) == 3
        for one in commands:
            assert word in shlex.split(one["command"])
        assert cli.run(["plan", str(path), "--on", NODE, *TRAFFIC, "--launch"]) == 0
        shown = capsys.readouterr().out
        words = shlex.split(shown[shown.index("vllm serve") : shown.index("SGLang")].replace("\\\n", ""))
        assert words[:4] == ["vllm", "serve", word, "--tensor-parallel-size"]


def test_launch_shows_controls_of_a_name_as_escapes(renamed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", MODEL, "--on", NODE, *TRAFFIC, "--launch"]) == 0
    assert not _raw(capsys.readouterr().out)


def test_errors_show_escapes_and_little_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, content in enumerate(
        [
            {"model_type": f"x\x1b]0;t\x07{'y' * 500}"},
            {"name": "n" * 10_000 + "\u202e", "d_model": 64, "vocab": 100, "groups": "none"},
            {"name": "x", "d_model": 64, "vocab": 100, "groups": [{"count": 1, "k\x9b" * 300: 2}]},
            {"name": "x", "d_model": "many\x1b" * 99, "vocab": 100, "groups": []},
        ]
    ):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content))
        assert cli.run(["plan", str(path), "--on", "8xh100"]) == 2
        said = capsys.readouterr().err
        assert not _raw(said)
        assert said.count("\n") == 1
        assert len(said) < 600, said


def test_packaged_data_hold_no_controls() -> None:
    for path in sorted((Path(text.__file__).parent / "data").rglob("*")):
        if path.is_file():
            assert not _raw(path.read_text(encoding="utf-8"), keep="\n"), path
