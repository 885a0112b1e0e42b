"""The verb that fits an engine to a user's own runs. No arithmetic here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..units import parse

if TYPE_CHECKING:
    from ..evidence.calibrate import Calibration
    from ..questions.resolve import Quantity
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateAnswer:
    """Constants of an engine before and after, and how far predictions lie from the runs; `saved`: where it lies."""

    calibration: Calibration
    saved: Path | None = None

    def face(self) -> Face:
        from . import show_calibrate

        return show_calibrate.face(self)


def calibrate(
    files: str | Path | Sequence[str | Path],
    *,
    model: str | None = None,
    on: str | None = None,
    engine: str | None = None,
    tp: Quantity | None = None,
    dp: Quantity | None = None,
    ep: Quantity | None = None,
    pp: Quantity | None = None,
    precision: str | None = None,
    kv: str | None = None,
    isl: Quantity | None = None,
    osl: Quantity | None = None,
    concurrency: Quantity | None = None,
    save: str | None = None,
    force: bool = False,
) -> CalibrateAnswer:
    """Fit an engine's constants to results of a benchmark tool, and keep them as the engine `save` if that is given.

    What the files do not say (model, machine, layout, lengths) is given beside them; in files that name everything
    the same options pick rows.
    """
    from ..evidence import calibrate as fits
    from ..evidence.results import Given

    check_save(save, force=force)
    sizes = {"tp": tp, "dp": dp, "ep": ep, "pp": pp}
    found = fits.calibrate(
        [files] if isinstance(files, str | Path) else files,
        Given(
            model=model, machine=on, engine=engine, precision=precision, kv=kv,
            layout={name: _count(size, name) for name, size in sizes.items() if size is not None},
            isl=None if isl is None else _positive(isl, "isl"),
            osl=None if osl is None else _positive(osl, "osl"),
            concurrency=None if concurrency is None else _positive(concurrency, "concurrency"),
        ),
    )  # fmt: skip
    return CalibrateAnswer(calibration=found, saved=fits.save(found, save, force=force) if save is not None else None)


def check_save(name: str | None, *, force: bool) -> None:
    """Refuse a name before any work is done."""
    from ..world import saved

    if name is None:
        if force:
            raise BadInput("--force replaces a saved engine; give its name with --save")
        return
    saved.check_name(name)
    if saved.path_of(name).exists() and not force:
        raise saved.exists(name)


def _positive(given: Quantity, name: str) -> float:
    value = parse(given, "count", name=name)
    if not 0 < value <= 1e9:
        raise BadInput(f"{name} = {given!r} is out of range; give a number above 0")
    return value


def _count(given: Quantity, name: str) -> float:
    value = parse(given, "count", name=name)
    if not 1 <= value <= 1e6 or value != int(value):
        raise BadInput(f"{name} = {given!r} is not a number of devices; give a whole number from 1")
    return value
