"""The command `tiers`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

CACHE = "Cache"

Hold = Annotated[
    str, typer.Option(help="Lifetimes of a cached prefix: 5min,1h,24h.", rich_help_panel=CACHE, metavar="TIMES")
]
Reuse = Annotated[
    str,
    typer.Option(
        help="Hits of a prefix while it is held: 1,10; below 1 if some are never hit.",
        rich_help_panel=CACHE,
        metavar="COUNTS",
    ),
]
TierName = Annotated[
    list[str] | None,
    typer.Option("--tier", help="Compare this tier only: DDR5, disk, ... Repeatable.", rich_help_panel=CACHE),
]
MaxWait = Annotated[
    str | None,
    typer.Option(help="Leave out tiers that take longer to bring the prefix back: 2s.", rich_help_panel=CACHE),
]
HitShare = Annotated[
    str, typer.Option(help="Share of input tokens that the cache finds: 0.56 or 56%.", rich_help_panel=CACHE)
]
ThinkingShare = Annotated[
    str,
    typer.Option(
        help="Share of the output that is thinking, dropped from the context of later turns.", rich_help_panel=CACHE
    ),
]
Against = Annotated[
    str, typer.Option(help="A price list to set beside the costs, or none.", rich_help_panel=CACHE, metavar="LIST")
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Questions",
        epilog="Example: rackmath tiers deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --context 32768 --hold 5min,1h,24h",
    )(tiers)


def tiers(
    model: o.Model,
    on: o.OneMachine,
    context: Annotated[str, typer.Option(help="Tokens of the prefix.")] = "32768",
    osl: o.Osl = "1024",
    hold: Hold = "5min,1h,24h",
    reuse: Reuse = "1,10",
    tier: TierName = None,
    max_wait: MaxWait = None,
    hit_share: HitShare = "0.5",
    thinking_share: ThinkingShare = "0",
    against: Against = "anthropic/claude-opus-4-6",
    precision: o.OnePrecision = None,
    kv: o.OneKv = None,
    gpus: o.Gpus = None,
    price: o.PriceKind = None,
    engine: o.EngineName = None,
    sets: o.Sets = None,
    extrapolate: o.Extrapolate = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Hold, fetch or recompute a KV cache: drain times, break-even hold times, prices that cover the cost.

    --set also takes tier.NAME.capacity, .bandwidth, .latency and .usd_per_gb_month (none: unknown).
    """
    from . import export
    from .ask_tiers import tiers as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("searching the plan that prefills"):
        answer = ask(
            model, on, context=context, osl=osl, hold=hold, reuse=reuse, tier=tier or (), max_wait=max_wait,
            hit_share=hit_share, thinking_share=thinking_share, against=against, precision=precision, kv=kv,
            gpus=gpus, price=price, engine=engine, sets=o.pairs(sets), extrapolate=extrapolate,
        )  # fmt: skip
    out.deliver(answer)
    return 0
