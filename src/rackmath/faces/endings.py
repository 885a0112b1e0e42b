"""How a command ends: exit codes, one sentence for every fault, signals, streams that are closed or full.

0 answered, 1 nothing feasible, 2 bad input or an output that cannot be written, 70 a fault of ours, 130 interrupted,
141 the reader went away, 143 terminated. The standard library only, and little of it: this is loaded first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

BAD_INPUT = 2
FAULT = 70
INTERRUPTED = 130
READER_GONE = 141
WIDTHS = (40, 1000)
"""Columns that are believed of a terminal."""


def code_of(call: Callable[[], object]) -> int:
    """The exit code of a call; whatever it raises becomes one sentence on stderr."""
    streams = sys.stdout, sys.stderr
    try:
        done = call()
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except BrokenPipeError:
        return READER_GONE
    except SystemExit as left:
        sys.stdout, sys.stderr = streams  # typer replaces both where the reader has gone
        if isinstance(left.__context__, BrokenPipeError):
            return READER_GONE
        return left.code if isinstance(left.code, int) else FAULT if left.code else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:  # Rust code below us panics with exceptions that are no Exception
        return _told(error)


def _told(error: BaseException) -> int:
    """Say what went wrong; the exit code for it."""
    from ..errors import BadInput, Infeasible

    if isinstance(error, (BadInput, Infeasible)):
        complain(str(error))
        return BAD_INPUT if isinstance(error, BadInput) else 1
    if type(error).__name__ == "Abort":  # typer's
        return INTERRUPTED
    if isinstance(error, OSError):
        complain(f"{error.filename or 'the output cannot be written'}: {error.strerror or error}")
        return BAD_INPUT
    if isinstance(error, RecursionError):
        complain("the input is nested too deeply; give an ordinary one")
        return BAD_INPUT
    if callable(message := getattr(error, "format_message", None)):  # usage errors, whichever click they come from
        command = getattr(getattr(error, "ctx", None), "command_path", "rackmath")
        if text := str(message()):
            complain(f"{_usage(text)}; see {command} --help")
        return int(getattr(error, "exit_code", BAD_INPUT))
    return _fault(error)


def _fault(error: BaseException) -> int:
    """Ask for a report of an exception that is not ours; with RACKMATH_DEBUG show where it came from."""
    from .. import __version__
    from ..text import shortened

    if os.environ.get("RACKMATH_DEBUG", "0") not in ("", "0"):
        import traceback

        _print("".join(traceback.format_exception(error)))
    said = shortened(" ".join(str(error).split()))
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    complain(
        f"rackmath {__version__} failed, and not because of what you asked ({what}); please report it with the"
        " command you gave (RACKMATH_DEBUG=1 shows where it happened)"
    )
    return FAULT


def _usage(text: str) -> str:
    """A usage message in the form of our own.

    >>> _usage("No such command 'plann'. Did you mean 'plan'?")
    "no such command 'plann'; did you mean 'plan'?"
    >>> _usage("No such option: --max-tpott (Possible options: --max-tpot, --max-ttft)")
    'no such option: --max-tpott; did you mean --max-tpot or --max-ttft?'
    """
    from difflib import SequenceMatcher

    text = " ".join(text.split()).rstrip(".").replace(". Did you mean ", "; did you mean ")
    head, possible, names = text.partition(" (Possible options: ")
    if possible:
        given = head.rpartition(" ")[2]
        near = sorted(names.rstrip(")").split(", "), key=lambda n: -SequenceMatcher(None, given, n).ratio())
        text = f"{head}; did you mean {' or '.join(near)}?"
    return text[:1].lower() + text[1:]


def complain(message: str, kind: str = "error") -> None:
    """One line on stderr: legible, with what it quotes shortened."""
    from ..text import sentence

    _print(f"{kind}: {sentence(message)}\n")


def _print(text: str) -> None:
    """Text on stderr, as far as there is one."""
    from ..text import legible

    try:
        if sys.stderr is not None:
            sys.stderr.write(legible(text, keep="\n"))
            sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody listens; the exit code has to do


def sane_width() -> None:
    """Take from the environment a width that no terminal has: rich and typer would print nothing, or fail."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        given = os.environ.get(name)
        if given is None:
            continue
        digits = given.strip()
        if not (digits.isascii() and digits.isdigit() and 0 < len(digits) <= 9 and int(digits) > 0):
            del os.environ[name]
        elif name != "LINES":
            os.environ[name] = str(min(max(int(digits), WIDTHS[0]), WIDTHS[1]))


# --- the process --------------------------------------------------------------------------------------------------


def process(call: Callable[[], object]) -> NoReturn:
    """Run a call as a whole process and leave with its exit code: no traceback, whatever happens."""
    code = INTERRUPTED
    try:
        _streams()
        _signals()
        code = code_of(call)
    except KeyboardInterrupt:
        code = INTERRUPTED
    _quiet()
    sys.exit(code)


def _streams() -> None:
    """Streams that can be written to, or that say why not; a terminal without a letter gets a question mark."""
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a file opened later must not become stdout or stderr
    os.close(spare)
    if sys.stdout is None:
        sys.stdout = _closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _closed() -> object:
    import errno
    import io

    class Closed(io.TextIOBase):
        """A standard output that somebody closed."""

        def write(self, text: str) -> int:
            raise OSError(errno.EBADF, "standard output is closed")

    return Closed()


def _signals() -> None:
    import signal

    def leave(number: int, frame: FrameType | None) -> None:
        at = frame
        while at is not None:  # C code that is being imported prints a traceback, or forgets the exception
            if at.f_code.co_filename.startswith("<frozen importlib"):
                os._exit(128 + number)
            at = at.f_back
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    for name, handler in usual.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is handler:  # not where the shell has it ignored
            signal.signal(number, leave)


def _quiet() -> None:
    """Let nothing speak up once the exit code is known: no late signal, no stream that cannot be emptied."""
    import signal

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
