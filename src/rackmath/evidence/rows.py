"""Rows of two published serving benchmarks as queries: who measured what on which layout, in our own terms.

`silicon`: the sample of InferenceX and other runs packaged with NVIDIA's aiconfigurator (milliseconds, `tp_size`,
`attention_dp_size`, `moe_tp_size`, `moe_ep_size`). `fixed_seq`: InferenceX results (seconds, `tp`, `ep`,
`dp_attention`, pools of workers). Their columns mean different things in different rows; every rule applied here is
named in the row's `readings` and described in docs/concepts/measured-rows.md. A row that cannot be read says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BadInput
from .cells import WHOLE, CellReader, Launched, Pool, whole_deployment
from .table import table

MEAN_LENGTH = 0.9
"""InferenceX draws each length uniformly from 0.8 to 1.0 of the stated one."""

SPREAD = 1 / 9
"""Half of that range over its mean. Other runs of the silicon sample keep to one length."""

USUAL_DECODERS = 3.0
"""Decode workers of a row that does not say how many: the median of those that do."""

MTP_FROM = {"1.1.0rc2.post2": "2026-01-01", "1.2.0rc6.post3": "2026-01-01"}
"""TensorRT-LLM images and the date from which the benchmark ran them with multi-token prediction on DeepSeek-R1.

The same campaigns stand in the InferenceX results (hardware, precision and date agree), where they say mtp: 14
January, 5 and 6 February 2026. Rows taken from the benchmark's data base carry the model's other name and none of
these runs.
"""

ROUNDS = 10.0
"""Requests of a run over its concurrency, as the benchmark's scripts have it."""

Text = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the row reports: seconds, tokens per second and device; None where it does not."""

    tpot: float | None = None
    ttft: float | None = None
    tput_per_gpu: float | None = None  # input and output, over all devices
    output_tput_per_gpu: float | None = None  # over the devices that decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured configuration. `prefill` is None where one pool does both; `reason` says why there is no query.

    `isl`, `osl` are mean lengths; `speculation` is "none", "mtp" or "unstated". All users start at once and send the
    next request when the last is answered, `ROUNDS` times.
    """

    id: str
    file: str
    model: str
    machine: str
    engine: str
    version: str
    weights: str
    decode: Pool
    prefill: Pool | None
    isl: float
    osl: float
    concurrency: float
    speculation: str
    measured: Measured
    date: str = ""  # of the run
    spread: float = SPREAD  # of the lengths of outputs, over their mean
    cached: float = 0.0  # share of a prompt that a prefix cache held
    readings: tuple[str, ...] = ()
    reason: str = ""

    @property
    def mode(self) -> str:
        return "disaggregated" if self.prefill is not None else "aggregated"

    @property
    def counted(self) -> bool:
        """Whether every pool says how many workers it has."""
        return self.decode.workers is not None and (self.prefill is None or self.prefill.workers is not None)


def read(path: Path | str) -> tuple[Row, ...]:
    """All rows of a file; its header says which of the two kinds it is."""
    found = table(path)[1]
    return rows(found, str(path))


def rows(found: Sequence[Text], name: str = "the table") -> tuple[Row, ...]:
    """Rows from mappings column -> text."""
    if not found:
        raise BadInput(f"{name} has no rows")
    found = [{k: v or "" for k, v in one.items() if isinstance(k, str)} for one in found]  # short and long lines
    if "silicon_tpot_ms" in found[0]:
        return tuple(silicon(one, i) for i, one in enumerate(found, 1))
    if "decode_dp_attention" in found[0]:
        return tuple(fixed_seq(one, i) for i, one in enumerate(found, 1))
    raise BadInput(
        f"{name} has neither the column silicon_tpot_ms nor decode_dp_attention; give a file in the form of"
        " aiconfigurator's silicon sample or of InferenceX results"
    )


# --- the silicon sample -------------------------------------------------------------------------------------------


def silicon(given: Text, number: int = 0) -> Row:
    """A row of aiconfigurator's sample.

    >>> row = silicon({"id": "a", "backend": "sglang", "model_path": "deepseek-ai/DeepSeek-R1", "system": "b200_sxm",
    ...     "mode": "agg", "isl": "1024", "osl": "1024", "silicon_concurrency": "64", "tp_size": "64",
    ...     "attention_dp_size": "1", "moe_tp_size": "8", "moe_ep_size": "8", "silicon_tpot_ms": "30",
    ...     "silicon_data_source": "source_file=2026-03-25.csv"})
    >>> row.decode.layout.label(), row.isl
    ('TP8 EP8', 921.6)
    """
    of = CellReader(given, number)
    origin = given.get("silicon_data_source", "")
    inferencex = "aic gap analysis" not in origin
    shared = MEAN_LENGTH if inferencex else 1.0
    weights = given.get("moe_quant_mode") or given.get("gemm_quant_mode") or given.get("precision") or ""
    decode, prefill, launched = _silicon_pools(of, inferencex, weights)
    concurrency, each = of.number("silicon_concurrency"), of.number("decode_batch_size") or of.number("batch_size")
    if concurrency is None:
        concurrency = each * decode.count * float(decode.layout.dp) if each else None
        of.readings.append("concurrency not stated: the batch of each rank that decodes")
    elif prefill is None and each:
        decode = of.replicas(decode, concurrency / each)
    drafts = _speculates(given, origin)
    if launched is not None and launched.drafts:
        drafts = True
        of.readings.append("the benchmark ran this deployment with multi-token prediction only")
    elif drafts:
        of.readings.append("run with multi-token prediction: InferenceX says so of this image and date")
    if given.get("prompts_cached"):
        of.readings.append("prompts repeat in this source: cached, but for the time to first token")
    return Row(
        id=given.get("id") or f"row {number}",
        file="silicon",
        model=given.get("model_path", ""),
        machine=given.get("system", ""),
        engine=given.get("backend", ""),
        version=given.get("backend_version", ""),
        weights=weights,
        decode=decode,
        prefill=prefill,
        isl=shared * of.needed("isl"),
        osl=shared * of.needed("osl"),
        concurrency=of.positive(concurrency, "concurrency"),
        speculation="mtp" if drafts else "unstated",
        date=given.get("measured_date", ""),
        spread=SPREAD if inferencex else 0.0,
        cached=1.0 if given.get("prompts_cached") else 0.0,
        measured=Measured(tpot=of.seconds("silicon_tpot_ms", 1e3), ttft=of.seconds("silicon_ttft_ms", 1e3)),
        readings=tuple(of.readings),
        reason="; ".join(of.reasons),
    )


def _silicon_pools(of: CellReader, inferencex: bool, weights: str) -> tuple[Pool, Pool | None, Launched | None]:
    """The pool that decodes, the one that prefills if it is another, and the recipe they were taken from."""
    prefill: Pool | None = None
    if of.given.get("mode") == "disagg":
        decode, prefill = of.silicon_pool("decode_"), of.silicon_pool("prefill_")
    else:
        decode = of.silicon_pool("", product=inferencex)
    launched = None
    if inferencex and (decode.workers is None or whole_deployment(decode.layout)):
        launched = of.recipe(decode, prefill, weights)
    if launched is not None:
        prefill, decode = launched.pools
    elif prefill is not None and decode.workers is None:
        decode = replace(decode, usual=USUAL_DECODERS)
        of.readings.append(f"workers not stated: one that prefills and {USUAL_DECODERS:g} that decode assumed")
    return decode, prefill, launched


def _speculates(given: Text, origin: str) -> bool:
    """Whether a row of the silicon sample is one of the benchmark's runs with multi-token prediction."""
    start = MTP_FROM.get(given.get("backend_version", ""))
    known = start and given.get("backend") == "trtllm" and given.get("mode") != "disagg"
    dumped = origin.startswith("source_file=20") and "DeepSeek-R1" in given.get("model_path", "")
    return bool(known and dumped and given.get("measured_date", "") >= str(start))


# --- InferenceX ---------------------------------------------------------------------------------------------------


def fixed_seq(given: Text, number: int = 0) -> Row:
    """A row of InferenceX results.

    >>> row = fixed_seq({"model": "m", "hardware": "b200", "framework": "trt", "precision": "fp8", "disagg": "False",
    ...     "spec_method": "none", "tp": "8", "ep": "8", "dp_attention": "True", "num_decode_gpu": "64",
    ...     "isl": "1024", "osl": "1024", "conc": "256", "median_tpot": "0.03"})
    >>> row.decode.layout.label(), float(row.decode.layout.gpus)
    ('TP1 DP8 EP8', 8.0)
    """
    of = CellReader(given, number)
    prefill: Pool | None = None
    if given.get("disagg") == "True":
        decode, prefill = of.worker_pool("decode"), of.worker_pool("prefill")
        if not of.reasons and (decode.workers is None or prefill.workers is None):
            launched = of.recipe(decode, prefill, given.get("precision", ""))
            if launched is not None:
                prefill, decode = launched.pools
            elif not of.reasons:
                of.reasons.append(WHOLE)
    else:
        decode = Pool(layout=of.attention("tp", "ep", "dp_attention"))
    return Row(
        id=f"{given.get('run_id') or 'row'}/{number}",
        file="fixed_seq",
        model=given.get("model", ""),
        machine=given.get("hardware", ""),
        engine=given.get("framework", ""),
        version=given.get("image", ""),
        weights=given.get("precision", ""),
        decode=decode,
        prefill=prefill,
        isl=MEAN_LENGTH * of.needed("isl"),
        osl=MEAN_LENGTH * of.needed("osl"),
        concurrency=of.positive(of.number("conc"), "concurrency"),
        speculation=given.get("spec_method") or "unstated",
        date=given.get("date", ""),
        measured=Measured(
            tpot=of.seconds("median_tpot") or of.seconds("mean_tpot"),
            ttft=of.seconds("median_ttft") or of.seconds("mean_ttft"),
            tput_per_gpu=of.number("tput_per_gpu"),
            output_tput_per_gpu=of.number("output_tput_per_gpu"),
        ),
        readings=tuple(of.readings),
        reason="; ".join(of.reasons),
    )
