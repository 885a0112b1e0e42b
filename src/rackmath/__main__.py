"""`rackmath`, and `python -m rackmath`: the command line, which may be interrupted even while it loads."""

from __future__ import annotations

from .faces import endings


def main() -> None:
    """The entry point of `rackmath`."""
    endings.process(_command)


def _command() -> int:
    from .faces.cli import run

    return run()


if __name__ == "__main__":
    main()
