"""Published measurements that scores are rerun on: files of a data folder, and rows of a package.

Of the packaged rows only those named in `data/facts/validate_ids.txt` are used: the others are kept as a test of
their own. Lines are filtered while they are read.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from .. import shipped
from ..errors import BadInput
from .answer import AnsweredRow, Asked, FileKind, Text
from .kinds import answered, answers, kind_named
from .table import EXAMPLE, EXAMPLE_RUNS, place

PACKAGE, VERSION, MEMBER = "aiconfigurator-core", "0.12.0", "aiconfigurator_core/systems/silicon_sample.csv"
INSTALL = "pip install 'rackmath[validate]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One file of measurements: its place in a data folder, its kind, and the columns worth a line of a summary."""

    path: str
    kind: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


FILES = tuple(
    Published(path=path, kind=kind, columns=columns)
    for path, kind, columns in (
        ("serving/inferencex_silicon_sample_aic.csv", "silicon", ("silicon_tpot_ms", "silicon_ttft_ms")),
        ("serving/inferencex_fixed_seq.csv", "inferencex", ("median_tpot", "median_ttft", "tput_per_gpu")),
        ("serving/trtllm_static_batch_v0.5-v0.9.csv", "trtllm-static", ("out_tok_s_per_gpu", "first_token_latency_ms")),
        ("serving/trtllm_perf_overview_v1.0_v1.2.csv", "trtllm-max", ("out_tok_s_per_gpu",)),
        ("serving/mlperf_inference_llm.csv", "mlperf", ("tokens_per_s_per_accel", "samples_per_s", "e2e_p50_s")),
        ("serving/llamacpp_batch1_gpus_apple.csv", "llamacpp", ("value",)),
        ("serving/llmservingsim_vllm_requests.csv", "vllm-log", ("tpot_s", "ttft_s")),
        ("training/reported_runs.csv", "palm", ("value",)),
    )
)
PACKAGED = FILES[0]

SAMPLE = (Published(path=EXAMPLE_RUNS, kind="inferencex", columns=("median_tpot", "median_ttft", "tput_per_gpu")),)
"""The runs that come along, in the package's own data: what "example" in place of a folder stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """The answers of one published file, and where its rows came from."""

    published: Published
    kind: FileKind
    header: tuple[str, ...]
    answers: tuple[AnsweredRow, ...]
    source: str


# --- where files lie ----------------------------------------------------------------------------------------------


def folder(given: Path | None = None) -> tuple[Path, tuple[Published, ...]]:
    """The folder of measured data, and what may lie in it: the one given, $RACKMATH_DATA, or ../shared/data.

    >>> folder(Path("example"))[1] == SAMPLE
    True
    """
    if given == Path(EXAMPLE) and not given.is_dir():
        return place(EXAMPLE).parent, SAMPLE
    if given is not None and not given.is_dir():
        raise BadInput(f"there is no folder '{given}'; --data takes the folder that holds serving/ and training/")
    return given or Path(os.environ.get("RACKMATH_DATA") or Path("..") / "shared" / "data"), FILES


def find(
    data: Path, wanted: tuple[Published, ...] = FILES, *, asked: Asked | None = None
) -> tuple[tuple[PublishedFile, ...], tuple[str, ...]]:
    """Every published file that is there, answered; and one line for each that is not.

    The silicon sample is read from the folder, or else from the installed package.
    """
    found, missing = [], []
    for one in wanted:
        path = data / one.path
        if path.is_file():
            kind, header, said = answers(path, one.kind, asked=asked)
            found.append(PublishedFile(published=one, kind=kind, header=header, answers=said, source=one.path))
        elif one is PACKAGED:
            try:
                header, rows = packaged()
            except BadInput as error:
                missing.append(f"{one.path}: not in the data folder, and {error}")
                continue
            kind = kind_named(one.kind)
            said = answered(kind, rows, asked or Asked())
            found.append(PublishedFile(published=one, kind=kind, header=header, answers=said, source=f"{PACKAGE} {VERSION}"))
        else:
            missing.append(f"{one.path}: not in the data folder")
    return tuple(found), tuple(missing)


# --- the packaged rows --------------------------------------------------------------------------------------------


@cache
def listed() -> Mapping[str, bool]:
    """Identifiers of the rows that may be used, and whether aiconfigurator itself answers the row."""
    text = (shipped.FACTS / "validate_ids.txt").read_text(encoding="utf-8")
    words = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: rest == ["peer"] for name, *rest in words}


def packaged(allowed: Iterable[str] | None = None) -> tuple[tuple[str, ...], tuple[Text, ...]]:
    """Header and rows of the sample inside the installed package; only those whose id is listed."""
    try:
        there = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise BadInput(f"{PACKAGE} is not installed ({INSTALL})") from None
    if there.version != VERSION:
        raise BadInput(f"{PACKAGE} is {there.version}, the score is of {VERSION} ({INSTALL})")
    path = Path(str(there.locate_file(MEMBER)))
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            read = csv.DictReader(handle)
            names = tuple(read.fieldnames or ())
            rows = tuple(completed(row) for row in _only(read, set(listed() if allowed is None else allowed)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"its {MEMBER.rpartition('/')[2]} cannot be read: {error}") from None
    if not rows:
        raise BadInput(f"its {MEMBER.rpartition('/')[2]} has none of the rows of data/facts/validate_ids.txt")
    return tuple(dict.fromkeys((*names, *rows[0]))), rows


def _only(rows: Iterable[Mapping[str, str | None]], allowed: set[str]) -> Iterator[Mapping[str, str | None]]:
    return (row for row in rows if row.get("id") in allowed)


def completed(row: Mapping[str, str | None]) -> Text:
    """A packaged row with the columns that `rows.silicon` reads: concurrency and date stand in its description.

    >>> row = completed({"id": "a", "silicon_data_source": "source_file=/x/some-gap-analysis/data/h100/a.csv;"
    ...                  " silicon_concurrency=64; measured=2026-02-05T00:00:00.000Z"})
    >>> row["silicon_concurrency"], row["measured_date"], row["silicon_data_source"][:40]
    ('64', '2026-02-05', 'source_file=aic gap analysis: h100/a.csv')
    """
    found = {name: value or "" for name, value in row.items() if isinstance(name, str)}
    said = found.get("silicon_data_source", "")
    said = re.sub(r"source_file=\S*gap-analysis/data/", "source_file=aic gap analysis: ", said)
    found["silicon_data_source"] = said
    for column, key in (("silicon_concurrency", "silicon_concurrency"), ("measured_date", "measured")):
        stated = re.search(rf"\b{key}=([^;]*)", said)
        text = stated[1].strip() if stated else ""
        found.setdefault(column, text.partition("T")[0])
    return found
