"""Kinds of measured files: how each is recognised, which columns are measurements, and who answers its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import BadInput, shown, unknown
from . import llamacpp, maximum, palm, serving_rows, static_batch, training_runs
from .answer import AnsweredRow, Asked, FileKind, RowScores, Text, interval, number
from .repeated import repeated
from .table import table


def _vllm(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """A log of requests; its reader stands in a module of its own."""
    try:
        from importlib import import_module

        reader = import_module(".vllm_log", __package__)
    except ModuleNotFoundError:
        raise BadInput("logs of vLLM cannot be scored yet: their reader is missing") from None
    found: list[RowScores] = reader.read(rows, asked)
    return found


CACHED = "prompts_cached"
"""A column set before a row is read again whose source is found to repeat its prompts."""

REPORTED = ("paper_or_repo", "table", "model", "gpu", "num_gpus", "global_batch", "precision", "metric", "unit", "note")
VALUE = ("value",)

KINDS: Mapping[str, FileKind] = {
    kind.name: kind
    for kind in (
        FileKind(
            name="silicon",
            what="aiconfigurator's silicon sample",
            needs=("model_path", "system", "mode", "isl", "osl", "silicon_concurrency"),
            measured=serving_rows.SILICON,
            predicts=serving_rows.SILICON,
            read=serving_rows.read_silicon,
            repeats=repeated,
            uncached=("silicon_ttft_ms",),
        ),
        FileKind(
            name="inferencex",
            what="InferenceX results",
            needs=("model", "hardware", "framework", "precision", "disagg", "tp", "ep", "isl", "osl", "conc"),
            measured=serving_rows.INFERENCEX,
            predicts=serving_rows.PREDICTED,
            read=serving_rows.read_inferencex,
        ),
        FileKind(
            name="trtllm-static",
            what="static batches of TensorRT-LLM",
            needs=("model", "gpu", "precision", "tp", "batch_size", "isl", "osl"),
            measured=static_batch.MEASURED,
            predicts=static_batch.MEASURED,
            read=static_batch.read,
        ),
        FileKind(
            name="trtllm-max",
            what="TensorRT-LLM at maximum load",
            needs=("model", "gpu", "precision", "layout", "n_gpus", "isl", "osl"),
            measured=maximum.TRTLLM,
            predicts=maximum.TRTLLM,
            read=maximum.read_trtllm,
        ),
        FileKind(
            name="mlperf",
            what="MLPerf inference results",
            needs=("benchmark", "scenario", "accelerator_model_name", "accelerators_per_node", "number_of_nodes"),
            measured=maximum.MLPERF,
            predicts=maximum.MLPERF_PREDICTED,
            read=maximum.read_mlperf,
        ),
        FileKind(
            name="llamacpp",
            what="llama.cpp on one box",
            needs=("gpu", "model", "quant", "metric"),
            measured=llamacpp.MEASURED,
            predicts=llamacpp.MEASURED,
            read=llamacpp.read,
        ),
        FileKind(
            name="vllm-log",
            what="a log of a vLLM server's requests",
            needs=("request_id", "input_toks", "output_toks", "arrival_time"),
            measured=("scheduled_ts", "first_token_ts", "last_token_ts", "ttft_s", "tpot_s"),
            predicts=("tpot_s", "ttft_s"),
            read=_vllm,
        ),
        FileKind(name="palm", what="PaLM inference", needs=REPORTED, measured=VALUE, predicts=VALUE, read=palm.read),
        FileKind(name="training", what="training runs", needs=REPORTED, measured=VALUE, predicts=VALUE, read=training_runs.read),
    )
}


def kind_named(name: str) -> FileKind:
    """A kind by its name.

    >>> kind_named("silicon").measured
    ('silicon_tpot_ms', 'silicon_ttft_ms')
    """
    found = KINDS.get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise unknown("kind", name, KINDS, hint=f"; known: {', '.join(KINDS)}")
    return found


def recognised(columns: Sequence[str], rows: Sequence[Text], name: str) -> FileKind:
    """The kind whose columns a header has; a table of reported runs is `palm` where most of its rows are."""
    for kind in KINDS.values():
        if kind.needs == REPORTED:
            continue
        if set(kind.needs) <= set(columns):
            return kind
    if set(REPORTED) <= set(columns):
        return KINDS["palm" if sum(map(palm.is_inference, rows)) > len(rows) / 2 else "training"]
    near = min(KINDS.values(), key=lambda k: len(set(k.needs) - set(columns)))
    missing = [c for c in near.needs if c not in columns]
    if len(missing) < len(near.needs) / 2:
        raise BadInput(f"{name} is like {near.what} ({near.name}), but has no column {missing[0]!r}")
    raise BadInput(f"{name} is no known kind of measured file (known: {', '.join(KINDS)}); its columns fit none")


def answers(
    path: Path | str, kind: str | None = None, *, asked: Asked | None = None
) -> tuple[FileKind, tuple[str, ...], tuple[AnsweredRow, ...]]:
    """The kind of a file, its columns, and an answer or a reason for every row of it."""
    columns, rows = table(path)
    name = shown(Path(path).name)
    if kind is None:
        chosen = recognised(columns, rows, name)
    else:
        chosen = kind_named(kind)
        missing = [column for column in chosen.needs if column not in columns]
        if missing:
            raise BadInput(f"{name} has no column {missing[0]!r}, which {chosen.what} ({chosen.name}) have")
    if chosen.name in ("palm", "training"):  # one table holds both
        inference = chosen.name == "palm"
        rows = tuple(row for row in rows if palm.is_inference(row) == inference)
        if not rows:
            other = "training" if inference else "palm"
            raise BadInput(f"{name} has no rows of {chosen.what}; --kind {other} reads those it has")
    asked = replace(asked or Asked(), path=Path(path))
    found = answered(chosen, rows, asked)
    if all(a.said.reason.endswith("is not a number") for a in found):
        raise BadInput(f"{name}: no row can be read; in the first, {found[0].said.reason}")
    return chosen, columns, found


def answered(kind: FileKind, rows: Sequence[Text], asked: Asked) -> tuple[AnsweredRow, ...]:
    """Answers for rows of a kind. Measured columns are taken out before a reader sees a row."""
    hidden = set(kind.measured)
    queries = [{k: "" if k in hidden else v for k, v in row.items()} for row in rows]
    with np.errstate(all="ignore"):
        found = list(kind.read(queries, asked))
        again = [i for i, yes in enumerate(kind.repeats(rows)) if yes] if kind.repeats else []
        for i, cached in zip(again, kind.read([queries[i] | {CACHED: "1"} for i in again], asked), strict=True):
            kept = {name: one for name, one in found[i].estimates.items() if name in kind.uncached}
            found[i] = replace(cached, estimates=dict(cached.estimates) | kept)
    columns = kind.columns(tuple(rows[0]))
    return tuple(_joined(kind, columns, row, said) for row, said in zip(rows, found, strict=True))


def _joined(kind: FileKind, columns: Sequence[str], row: Text, said: RowScores) -> AnsweredRow:
    measured = {}
    for column in kind.predicts:
        try:
            value = number(row, column)
        except BadInput:
            said = replace(said, notes=(*said.notes, f"{column} = {row[column]!r:.40} is no number: not compared"))
            continue
        if value is not None and value > 0:
            measured[column] = value
    keys = {"system": said.system, "model": said.model, "engine": said.engine, "mode": said.mode}
    estimates = {}
    for column, estimate in said.estimates.items():
        if column in columns:
            low, high = interval(estimate.pred, kind=kind.name, metric=column, most=estimate.most, said=keys)
            estimates[column] = replace(estimate, low=low, high=high)
    return AnsweredRow(given=row, measured=measured, said=replace(said, estimates=estimates))
