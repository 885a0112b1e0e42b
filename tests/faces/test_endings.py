"""How a command ends: exit codes, one sentence for whatever happens, streams that are closed, full or left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rackmath.errors import BadInput, Infeasible
from rackmath.faces import cli, endings

LECTURE = ("lecture", "4")


def _raise(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


FAULTS = [
    ZeroDivisionError("float division by zero"),
    KeyError("points"),
    MemoryError(),
    AssertionError(),
    ValueError("text\x1b[2J over\ntwo lines " + "x" * 10_000),
    type("PanicException", (BaseException,), {})("from below"),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda e: type(e).__name__)
def test_a_fault_of_ours_is_one_sentence_and_70(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RACKMATH_DEBUG", raising=False)
    monkeypatch.setattr("rackmath.questions.registry.Command.ask", _raise(error))
    assert cli.run(["batch", "meta-llama/Llama-3.1-8B", "--on", "8xh100"]) == 70
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: rackmath ")
    assert "please report it" in said.err
    assert type(error).__name__ in said.err
    assert said.err.count("\n") == 1
    assert said.err.rstrip("\n").isprintable()
    assert len(said.err) < 400


def test_the_traceback_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for value, shown in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("RACKMATH_DEBUG", value)
        assert endings.code_of(_raise(ZeroDivisionError("x"))) == 70
        assert ("Traceback" in capsys.readouterr().err) == shown


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BadInput("no such thing"), 2, "error: no such thing\n"),
        (Infeasible("does not fit"), 1, "error: does not fit\n"),
        (BadInput(f"{'x' * 500!r} is no name"), 2, f"error: '{'x' * 39}…{'x' * 40}' is no name\n"),
        (BadInput("a\x1b[31m\u202eb\n\x9b c"), 2, "error: a\\x1b[31m\\u202eb\\n\\x9b c\n"),
        (FileNotFoundError(2, "No such file or directory", "a\x07.csv"), 2, "error: a\\x07.csv: No such file or directory\n"),
        (OSError(28, "No space left on device"), 2, "error: the output cannot be written: No space left on device\n"),
        (RecursionError(), 2, "error: the input is nested too deeply; give an ordinary one\n"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(143), 143, ""),
        (SystemExit("said by a library"), 70, ""),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else "",
)
def test_codes(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert endings.code_of(_raise(error)) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("width", ["0", "-1", "1", "many", "", "²", "9" * 5000, "100000000"])
def test_widths_that_no_terminal_has(width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for words in (LECTURE, ("--help",)):
        assert cli.run(list(words)) == 0
        lines = capsys.readouterr().out.splitlines()
        assert 10 < len(lines) < 500
        assert 30 < max(map(len, lines)) <= 1000


# --- whole processes ----------------------------------------------------------------------------------------------


def _shell(redirection: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command under a shell, with something done to its streams; the exit code is that of the command."""
    script = f'"$0" -m rackmath "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        env=os.environ | environment,
    )


def test_the_module_is_the_command() -> None:
    from rackmath import __version__

    assert _shell("", "--version").stdout == f"rackmath {__version__}\n"
    done = _shell("", "plann")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no such command 'plann'; did you mean 'plan'")


@pytest.mark.parametrize("words", [LECTURE, ("machines", "--json"), ("--help",)], ids=" ".join)
def test_a_reader_who_goes_away_hears_nothing_of_it(words: tuple[str, ...]) -> None:
    done = _shell("| true; exit ${PIPESTATUS[0]}", *words)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("redirection", "says"), [(">&-", "standard output is closed"), (">/dev/full", "No space left on device")], ids=["closed", "full"]
)
def test_an_output_that_takes_nothing_is_one_sentence(redirection: str, says: str) -> None:
    for words in (LECTURE, ("machines", "--json")):
        done = _shell(redirection, *words)
        assert done.returncode == 2
        assert done.stderr == f"error: the output cannot be written: {says}\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_without_stderr_the_code_says_it(redirection: str) -> None:
    done = _shell(redirection, "plan", "no-such-model", "--on", "8xh100")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


INTERRUPTED_AT = """
import os, signal, sys
at, number = sys.argv[1:]
class At:
    def find_spec(self, name, *_):
        if name == at:
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, At())
from rackmath.__main__ import main
sys.argv = ["rackmath", "lecture", "4"]
main()
"""


@pytest.mark.parametrize("name", ["typer", "rackmath.faces.options", "numpy", "rich.console"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_a_module_is_imported(name: str, number: signal.Signals, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, name, str(int(number))], capture_output=True, text=True, timeout=1800, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_in_the_middle(number: signal.Signals, code: int) -> None:
    script = (
        "import os, sys, time; from rackmath.faces import endings\n"
        "def work():\n"
        "    try:\n"
        "        os.kill(os.getpid(), int(sys.argv[1])); time.sleep(60)\n"
        "    finally: print('tidied')\n"
        "endings.process(work)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(int(number))], capture_output=True, text=True, timeout=1800, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "tidied\n", "")
