"""Writing files: complete or not at all, never in place of a pipe, a device, a link or a name of the same file."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackmath import writing
from rackmath.errors import BadInput
from rackmath.faces import charts, cli
from rackmath.world import saved

FULL = OSError(28, "No space left on device")


def _only(folder: Path, *names: str) -> bool:
    return sorted(os.listdir(folder)) == sorted(names)


def test_a_new_file_has_the_mode_of_new_files(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        writing.write(tmp_path / "new", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert _only(tmp_path, "new")


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    assert writing.write(tmp_path / ("n" * 255), b"x").read_bytes() == b"x"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o4711])
def test_mode_and_owner_are_kept(mode: int, tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_text("old")
    if os.geteuid() == 0:
        os.chown(place, 1234, 4321)
    place.chmod(mode)
    before = place.stat()
    writing.write(place, b"new")
    after = place.stat()
    assert place.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert _only(tmp_path, "a")


def test_hard_links_stay_names_of_one_file(tmp_path: Path) -> None:
    for data in (b"shorter", b"a longer one than what was there before"):
        (tmp_path / "a").write_bytes(b"what was there before")
        if not (tmp_path / "b").exists():
            os.link(tmp_path / "a", tmp_path / "b")
        writing.write(tmp_path / "a", data)
        assert (tmp_path / "b").read_bytes() == data
        assert (tmp_path / "a").samefile(tmp_path / "b")
    assert _only(tmp_path, "a", "b")


def test_an_owner_that_cannot_be_given_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's file in a folder of ours: the same file is overwritten."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    place = tmp_path / "a"
    place.write_text("old")
    before = place.stat().st_ino
    monkeypatch.setattr(os, "fchown", refused)
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((0o100600, 1, 1, 1, 99999, 99999, 0, 0, 0, 0)))
    writing.write(place, b"new")
    assert place.read_bytes() == b"new"
    assert place.stat().st_ino == before
    assert _only(tmp_path, "a")


@pytest.mark.parametrize("failure", [FULL, KeyboardInterrupt(), SystemExit(143)], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("names", [("a",), ("a", "b")], ids=["one name", "two names"])
def test_what_fails_in_the_middle_leaves_the_old_content(
    failure: BaseException, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"old content")
    for name in names[1:]:
        os.link(place, tmp_path / name)
    calls = []

    def half(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise failure

    monkeypatch.setattr(os, "fsync", half)
    with pytest.raises(BadInput if failure is FULL else type(failure)):
        writing.write(place, b"new content that is longer")
    assert place.read_bytes() == b"old content"
    assert _only(tmp_path, *names)


def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "chain").symlink_to("link")
    (tmp_path / "dangling").symlink_to("made")
    writing.write(tmp_path / "chain", b"new")
    writing.write(tmp_path / "dangling", b"made")
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "made").read_bytes() == b"made"
    assert all((tmp_path / name).is_symlink() for name in ("link", "chain", "dangling"))


def _reader(pipe: Path, found: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_gets_the_bytes_and_stays_a_pipe(linked: bool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    place = pipe
    if linked:
        place = tmp_path / "link.json"
        place.symlink_to(pipe)
    found: list[bytes] = []
    reader = _reader(pipe, found)
    data = b"x" * 1_000_000  # more than a pipe holds at once
    writing.write(place, data)
    reader.join(timeout=1800)
    assert found == [data]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert place.is_symlink() == linked


def test_a_pipe_that_nobody_reads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PATIENCE", 0.0)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(BadInput, match=r"cannot write '.*pipe\.json': nobody reads from it; choose another path"):
        writing.write(tmp_path / "pipe.json", b"{}")
    assert stat.S_ISFIFO((tmp_path / "pipe.json").stat().st_mode)


def test_devices_are_written_to_and_stay_devices(tmp_path: Path) -> None:
    (tmp_path / "null.json").symlink_to(os.devnull)
    assert cli.run(["models", "-o", str(tmp_path / "null.json")]) == 0
    assert (tmp_path / "null.json").is_symlink()
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(BadInput, match=r"cannot write '/dev/full': No space left on device"):
        writing.write("/dev/full", b"x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.json")
        yield "socket.json"


def test_sockets_folders_and_loops_are_refused(tmp_path: Path, listening: str) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "to_socket.json").symlink_to(listening)
    for name, says in {
        listening: "it is a socket",
        "to_socket.json": "it is a socket",
        "folder.json": "it is a folder",
        "loop.json": "Too many levels of symbolic links",
        "no\0name": "embedded null byte",
        "folder.json/no/file": "the folder '.*' does not exist; create it first",
    }.items():
        with pytest.raises(BadInput, match=says):
            writing.write(name, b"x")
    assert stat.S_ISSOCK(os.stat(listening).st_mode)


def test_a_file_that_may_not_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a"
    place.write_text("precious")
    place.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may do anything
    with pytest.raises(BadInput, match="Permission denied"):
        writing.write(place, b"x")
    assert place.read_text() == "precious"


def test_every_writer_is_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports, traces, charts, predictions and saved engines: a file keeps its mode whoever writes it."""
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    written: list[str] = []
    true = writing.write

    def watched(path: str | os.PathLike[str], data: bytes, **of: str) -> Path:
        written.append(Path(path).name)
        return true(path, data, **of)

    monkeypatch.setattr(writing, "write", watched)
    saved.write("mine", 'base = "vllm"\n')
    spec = charts.curve([charts.Series("a", [1, 2], [3, 4])], title="t", x=charts.Axis("x"), y=charts.Axis("y"))
    charts.write(spec, tmp_path / "chart.json")
    rows = tmp_path / "rows.csv"
    rows.write_text("gpu,model,pp512,tg128\n")
    model = ["meta-llama/Llama-3.1-8B", "--on", "8xh100"]
    for words in (
        ["lecture", "4", "-o", str(tmp_path / "report.txt")],
        ["timeline", *model, "-o", str(tmp_path / "step.trace.json")],
        ["schedule", "1f1b", "--stages", "2", "--micro-batches", "2", "-o", str(tmp_path / "pipe.trace.json")],
    ):
        assert cli.run(words) == 0, words
    assert written == ["mine.toml", "chart.json", "report.txt", "step.trace.json", "pipe.trace.json"]


def test_an_interrupt_while_a_file_is_written(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    place.write_text("old")
    script = (
        "import os, signal, sys\nfrom rackmath import writing\nfrom rackmath.faces import endings\n"
        "writing.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGINT)\n"
        "endings.process(lambda: writing.write(sys.argv[1], b'new'))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(place)], capture_output=True, timeout=1800, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    assert place.read_text() == "old"
    assert _only(tmp_path, "a.json")
