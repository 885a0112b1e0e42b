"""The commands that start a plan in serving engines: templates of `data/facts/launch.toml`, filled in.

Facts a template may ask for: tp, pp, dp, cp, dcp, ep (more than one way each), ep_all and ep_some (experts over all
devices of a stage, or over groups), experts, redundant, fp8_cache, other_cache, lora, chunked, prefill, decode, split
(two pools); nodes (more than one), of these nodes_dp (whole DP ranks in a node), nodes_rank (one rank over all nodes)
and nodes_ray (several ranks, each over nodes); first and others (the node). Placeholders: {model} {tp} {pp} {dp} {cp}
{dcp} {ep} {gpus} {stage} {trt_tp} {redundant} {seqs} {seqs_rank} {tokens} {tokens_all} {context} {memory}
{free_share} {weights} {cache} {rank} {adapters} {file} {nodes} {node} {local}.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from .. import shipped
from ..text import legible
from .either import ModesAnswer, PlanAnswer

if TYPE_CHECKING:
    from ..layout.parallelism import Layout
    from ..serving.disaggregated import PrefillReplica
    from ..world.machine import Machine
    from ..world.precision import Precision
    from .grid import Question

Rule = dict[str, str]

NODE = 8
"""Devices of a node where the data names no other number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCommand:
    """One instance of an engine: how often to start it, with which words, and what it cannot express."""

    engine: str
    version: str
    checked: str
    source: str
    pool: str  # "", "prefill" or "decode"
    layout: str
    machine: str
    replicas: float
    words: tuple[str, ...]
    nodes: int  # that one instance takes
    others: tuple[str, ...]  # words on every node but the first; empty where one command starts all
    file: tuple[str, ...]  # lines of the configuration file it reads
    cannot: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def text_others(self) -> str:
        return " ".join(self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchAnswer:
    """Commands for every engine that is known."""

    model: str
    commands: tuple[LaunchCommand, ...]
    notes: tuple[str, ...]


@cache
def _data() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = shipped.read(shipped.FACTS / "launch.toml")
    return found


def node_of(machine: Machine) -> int:
    """Devices of one node.

    >>> from rackmath.world import catalog
    >>> [node_of(catalog.machine(name)) for name in ("gb200-nvl72", "144xh800", "4xl4")]
    [4, 8, 4]
    """
    named = (n for name, n in _data()["nodes"].items() if machine.accelerator.startswith(name))
    return int(next(named, min(NODE, max(float(machine.n_devices), 1.0))))


@cache
def engines(local: bool = False) -> dict[str, dict[str, Any]]:
    """The templates, by short name: of servers, or of local engines.

    >>> sorted(engines()), sorted(engines(local=True))
    (['sglang', 'trtllm', 'vllm'], ['llamacpp'])
    """
    return {name: one for name, one in _data().items() if name != "nodes" and one.get("local", False) == local}


def launched(answer: PlanAnswer | ModesAnswer) -> LaunchAnswer:
    """The commands that start the plan of an answer."""
    if isinstance(answer, ModesAnswer) and answer.winner == "disaggregated" and answer.pools.best is not None:
        p, s = answer.pools.best, answer.pools.best.serving
        n = (float(s.n_prefill), float(s.n_decode))
        if answer.fleets is not None:
            n = (float(answer.fleets[0].replicas), float(answer.fleets[1].replicas))
        pools = (
            ("prefill", s.prefill.layout, n[0], _under_way(s.prefill), p.questions[0]),
            ("decode", s.decode.layout, n[1], float(s.decode.batch), p.questions[1]),
        )
        commands = [
            command(name, q, p.precision, layout, batch, pool=pool, replicas=n) for name in engines() for pool, layout, n, batch, q in pools
        ]
        return _answer(p.questions[1], p.precision, commands)
    best = answer.best
    plan = answer.aggregated if isinstance(answer, ModesAnswer) else answer
    replicas = 1.0 if plan is None or plan.fleet is None else float(plan.fleet.replicas)
    commands = [
        command(name, best.question, best.precision, best.layout, best.batch, replicas=replicas)
        for name in engines(best.question.engine.local)
    ]
    return _answer(best.question, best.precision, commands)


def _under_way(p: PrefillReplica) -> float:
    """Prompts that a prefill replica holds at once: those of a pass, in every stage and rank."""
    return max(float(p.prompts), 1.0) * float(p.layout.dp) * float(p.layout.pp)


def _answer(q: Question, p: Precision, commands: list[LaunchCommand]) -> LaunchAnswer:
    said = ["the plan is an estimate: measure before you rely on it"]
    if p != q.model.precision and not q.engine.local:
        said.append(f"the plan keeps weights in {p.name}: give a checkpoint in that format")
    return LaunchAnswer(model=q.model.name, commands=tuple(commands), notes=tuple(said))


def command(
    engine: str, q: Question, precision: Precision, layout: Layout, batch: float, *, pool: str = "", replicas: float = 1.0
) -> LaunchCommand:
    """One engine's command for a replica that decodes `batch` sequences."""
    one = _data()[engine]
    facts, values = _facts(q, precision, layout, batch, pool)
    values["file"] = f"{pool or 'plan'}.yaml"

    def kept(rules: list[Rule], *, first: bool = True, quote: bool = False) -> tuple[str, ...]:
        known, given = facts | {"first": first, "others": not first}, _quoted(values) if quote else values
        return tuple(r["text"].format(**given) for r in rules if _holds(r.get("when", ""), known))

    lines = kept(one.get("file", []))
    words, others = (
        tuple(w for w in kept(one["words"], first=first, quote=True) if lines or values["file"] not in w) for first in (True, False)
    )
    apart = facts["nodes"] and not ("one_command" in one and facts[one["one_command"]])
    return LaunchCommand(
        engine=one["name"],
        version=one["version"],
        checked=one["checked"],
        source=one["source"],
        pool=pool,
        layout=layout.label(),
        machine=q.machine.name,
        replicas=replicas,
        words=words,
        file=lines,
        nodes=values["nodes"],
        others=others if apart else (),
        cannot=kept(one.get("cannot", [])),
        notes=kept(one.get("notes", [])),
    )


def _quoted(values: dict[str, Any]) -> dict[str, Any]:
    """Values as words for a shell: nothing in a name is a command, an option or a second word.

    >>> _quoted({"model": "x; touch Y #", "tp": 8, "memory": "0.9"})
    {'model': "'x; touch Y #'", 'tp': 8, 'memory': '0.9'}
    >>> _quoted({"model": "-rf"})["model"]
    './-rf'
    """
    found = {key: shlex.quote(legible(one)) if isinstance(one, str) else one for key, one in values.items()}
    if str(values["model"]).startswith("-"):
        found["model"] = shlex.quote(legible(f"./{values['model']}"))
    return found


def _holds(when: str, facts: dict[str, bool]) -> bool:
    return all(facts[w.removeprefix("!")] != w.startswith("!") for w in when.split())


def _facts(q: Question, precision: Precision, layout: Layout, batch: float, pool: str) -> tuple[dict[str, bool], dict[str, Any]]:
    from ..layout.footprint import footprint
    from ..layout.parallelism import slots
    from ..layout.reserve import share_in_force
    from ..units import show

    tp, pp, dp, cp, dcp, ep = (int(float(getattr(layout, n))) for n in ("tp", "pp", "dp", "cp", "dcp", "ep"))
    stage = tp * dp * cp
    routed = [g.ffn for g in q.model.groups if g.ffn and g.ffn.n_experts]
    spare = max((float(slots(ffn, layout)) - ffn.n_experts for ffn in routed), default=0.0)
    tokens, lora = int(q.engine.chunk_tokens), q.model.lora
    kv = precision.kv.name
    traffic = q.traffic
    gpus, node, rank = tp * pp * dp * cp, node_of(q.machine), tp * pp * cp
    nodes = next(n for n in range(1, gpus + 1) if gpus % n == 0 and gpus // n <= node)
    local = next((n for n in range(min(dp, node // rank), 0, -1) if dp % n == 0), 0)
    if dp > 1 and local:  # whole ranks in every node
        nodes = dp // local
    held = footprint(q.model, q.machine, precision, layout, q.engine, float(traffic.isl))
    after = max(float(held.capacity) - float(held.weights), 1.0)
    facts = {
        "tp": tp > 1,
        "pp": pp > 1,
        "dp": dp > 1,
        "cp": cp > 1,
        "dcp": dcp > 1,
        "ep": ep > 1,
        "experts": bool(routed),
        "ep_all": ep > 1 and ep == stage,
        "ep_some": 1 < ep < stage,
        "redundant": spare > 0,
        "fp8_cache": kv.startswith("fp8"),
        "other_cache": not kv.startswith(("fp8", "bf16", "fp16")),
        "lora": lora is not None,
        "chunked": float(traffic.isl) > tokens,
        "prefill": pool == "prefill",
        "decode": pool == "decode",
        "split": bool(pool),
        "nodes": nodes > 1,
        "nodes_dp": nodes > 1 and dp > 1 and local > 0,
        "nodes_rank": nodes > 1 and dp == 1,
        "nodes_ray": nodes > 1 and dp > 1 and not local,
    }
    hosted, moved = float(layout.host_layers), float(layout.host_experts)
    facts |= {"hosted": hosted + moved > 0, "hosted_experts": moved > 0}
    share = float(share_in_force(q.engine, q.machine, layout))
    values = {
        "gpu_layers": int(q.model.n_layers + 1 - hosted),
        "cpu_moe": math.ceil(hosted + moved - 1e-9),
        "model": q.model.name,
        "tp": tp,
        "pp": pp,
        "dp": dp,
        "cp": cp,
        "dcp": dcp,
        "ep": ep,
        "stage": stage,
        "trt_tp": tp * dp,
        "redundant": int(spare),
        "seqs": math.ceil(batch - 1e-9),
        "seqs_rank": math.ceil(batch / dp - 1e-9),
        "tokens": tokens,
        "tokens_all": tokens * dp,
        "context": math.ceil(float(traffic.isl) + float(traffic.osl)),
        "memory": f"{share:.3g}",
        "gpus": gpus,
        "nodes": nodes,
        "node": gpus // nodes,
        "local": local,
        "weights": show(float(held.weights), "B"),
        "free_share": f"{max(after - float(held.reserved), 0.0) / after:.2f}",
        "gguf": f"{q.model.name.rpartition('/')[2]}-{precision.name.upper()}.gguf",
        "format": precision.name.upper(),
        "context_all": math.ceil(float(traffic.isl) + float(traffic.osl)) * math.ceil(batch - 1e-9),
        "cache": kv,
        "rank": int(lora.rank) if lora else 0,
        "adapters": int(lora.adapters) if lora else 0,
    }
    return facts, values
