"""Writing a file: complete or not at all, and never in place of something that is no file."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from io import FileIO
from pathlib import Path

from .errors import BadInput

PATIENCE = 1.0
"""Seconds that a reader of a named pipe has to turn up."""

_REFUSED = {stat.S_IFDIR: "it is a folder", stat.S_IFSOCK: "it is a socket", stat.S_IFBLK: "it is a disk"}


def write(path: str | os.PathLike[str], data: bytes, *, advice: str = "choose another path") -> Path:
    """Write a file so that a reader finds the old content or the new, whatever goes wrong.

    A link is followed. What is there keeps its mode and its owner, and what may not be written is left alone. The
    content goes to a neighbour first, which then takes the file's place in one step. A file of several names (hard
    links), or of an owner that cannot be given to a neighbour, stays the same file instead: it is overwritten, and
    restored where that fails, so that only a crash of the machine or a kill can leave it half written. A pipe with a
    reader, a terminal and a character device get the bytes as a stream. Folders, sockets and disks are refused.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "answer.json"
    >>> write(place, b"{}").read_bytes()
    b'{}'
    """
    try:
        try:
            there = os.stat(path)
        except FileNotFoundError:
            there = None
        kind = stat.S_IFREG if there is None else stat.S_IFMT(there.st_mode)
        if kind in (stat.S_IFIFO, stat.S_IFCHR):
            _stream(path, data)
        elif kind == stat.S_IFREG:
            _whole(Path(os.path.realpath(path)), data, there)
        else:
            raise BadInput(f"cannot write '{path}': {_REFUSED.get(kind, 'it is no file')}; {advice}")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadInput(f"cannot write '{path}': {error.strerror or error}; {advice}") from error
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"cannot write {str(path)!r}: {error}; {advice}") from error  # a zero byte in the name
    return Path(path)


def _whole(place: Path, data: bytes, there: os.stat_result | None) -> None:
    """A new file, or new content of one that is there."""
    if not place.parent.is_dir():
        raise BadInput(f"cannot write '{place}': the folder '{place.parent}' does not exist; create it first")
    if there is not None and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if there is not None and there.st_nlink > 1:
        _overwrite(place, data)
        return
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            alike = there is None or _alike(file.fileno(), there)
            if alike:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if alike:
            os.replace(part, place)
        else:
            _overwrite(place, data)
    finally:
        part.unlink(missing_ok=True)


def _alike(descriptor: int, there: os.stat_result) -> bool:
    """Give a new file the owner and the mode of another; False where the owner may not be given."""
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (there.st_uid, there.st_gid):
        try:
            os.fchown(descriptor, there.st_uid, there.st_gid)
        except PermissionError:
            return False
    os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
    return True


def _overwrite(place: Path, data: bytes) -> None:
    with open(place, "r+b", buffering=0) as file:
        old = file.readall()
        try:
            _fill(file, data)
        except BaseException:
            _fill(file, old)
            raise


def _fill(file: FileIO, data: bytes) -> None:
    """All of a file's content, the same file still; it is cut to its length last, so that its blocks stay its own."""
    file.seek(0)
    _send(file.fileno(), data)
    file.truncate(len(data))
    os.fsync(file.fileno())


def _send(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _stream(path: str | os.PathLike[str], data: bytes) -> None:
    """Bytes into a pipe or a device; a pipe that nobody reads is an error, not a wait without end."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                if error.errno == errno.ENXIO:
                    raise OSError(errno.ENXIO, "nobody reads from it") from error
                raise
        time.sleep(0.02)
    try:
        os.set_blocking(descriptor, True)
        _send(descriptor, data)
    finally:
        os.close(descriptor)
