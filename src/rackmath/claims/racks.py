"""The claims about racks: expert parallelism, link ratios, sizes of domains, boundaries between stages."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..layout.collectives import distinct_groups
from ..layout.experts import crossing_factor, crossing_ratio, least_layers
from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, near


def _exchange_in_rack(claim: Claim, x: Values) -> Outcome:
    used, experts = x["rack_used"], x["experts"]
    each = experts / used
    domains = math.ceil(x["served_on"] / x["served_domain"])
    return by_conditions(
        domains,
        {
            f"{experts:.0f} experts divide evenly over {used:.0f} devices of a rack ({each:.3g} each)": each == int(each)
            and used <= x["rack"],
            f"no service ran its experts beyond one domain (DeepSeek's {x['served_on']:.0f} devices lie in"
            f" {domains} domains of {x['served_domain']:.0f}, so it is a preference, not a limit)": domains <= 1,
        },
        Part(name="experts per device", value=each),
        Part(name="distinct devices of a token", value=float(distinct_groups(used, experts, x["top_k"]))),
        Part(name="all-to-all over two racks, at least", value=float(crossing_factor(2, x["link_ratio"])), unit="x"),
    )


def _link_ratio(claim: Claim, x: Values) -> Outcome:
    assert claim.lecture is not None
    found = {name: x[f"{name}_up"] / x[f"{name}_out"] for name in ("H100", "GB200", "Rubin")}
    return by_conditions(
        sorted(found.values())[1],
        {f"{name} had about {claim.lecture:.0f} (it has {ratio:.3g})": near(claim, ratio) for name, ratio in found.items()},
        *(Part(name=name, value=ratio, unit="x") for name, ratio in found.items()),
    )


def _domain_sizes(claim: Claim, x: Values) -> Outcome:
    packages = x["last_dies"] / x["dies_per_package"]
    grown = packages / x["blackwell"]
    return by_conditions(
        packages,
        {
            f"Hopper joins 8 packages and Blackwell 72 (they join {x['hopper']:.0f} and {x['blackwell']:.0f})": x["hopper"] == 8
            and x["blackwell"] == 72,
            f"the third joined over 500 packages ({x['last_dies']:.0f} dies are {packages:.0f} packages of Rubin"
            f" Ultra, {grown:.2g}x Blackwell's; Rubin itself joins {x['rubin']:.0f})": near(claim, packages),
        },
        Part(name="packages over Blackwell's", value=grown, unit="x"),
        Part(name="packages that Rubin joins", value=x["rubin"]),
    )


def _boundary(claim: Claim, x: Values) -> Outcome:
    widths = {k: x[k] for k in ("dispatch_bytes", "combine_bytes", "hop_bytes")}
    links = x["up"] / x["out"]
    distinct = float(distinct_groups(x["devices"], x["experts"], x["top_k"]))
    board = x["top_k"] * x["layers"] * 2
    ours = float(crossing_ratio(links, distinct, x["layers"], **widths))
    needed = float(least_layers(links, distinct, **widths))
    at_eight = float(crossing_ratio(x["threshold"], x["top_k"], x["layers"]))
    return by_conditions(
        ours,
        {
            f"{x['top_k']:.0f} experts x {x['layers']:.0f} layers x 2 = {board:.0f} exceed {x['threshold']:.0f}": board > x["threshold"],
            f"the exchanges took longer than the hop (they take {ours:.2g}x with {distinct:.3g} distinct devices, the"
            f" bytes sent and links {links:.3g} apart; {needed:.0f} layers a stage would do)": ours >= 1,
        },
        Part(name=f"at links {x['threshold']:.0f} apart, every expert elsewhere", value=at_eight, unit="x"),
        Part(name="fewest layers in a stage", value=needed),
    )


RACKS: Mapping[str, Compute] = {"10": _exchange_in_rack, "11": _link_ratio, "12": _domain_sizes, "16": _boundary}
