"""Spellings: what people write for a machine, brought to what the catalogue calls it.

Rules first (case, separators, counts, memory sizes), then the aliases in the data files; no table of every spelling.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

_SPLITS = (
    (re.compile(r"\((?:r|tm|c)\)|(?<![a-z])w/"), " "),
    (re.compile(r"mac ?book(?:[ -]?(?:pro|air))?|mac[ -](?:studio|mini|pro)|(?<![a-z])(?:imac|mbp)(?![a-z])"), " mac "),
    (re.compile(r"(?<![a-z0-9.])\d+(?:\.\d+)?(?:[- ]?inch(?:es)?| ?\")"), " "),  # of a screen
    (re.compile(r"(?<=\d)ti(?=super)"), "ti "),
    (re.compile(r"(?<=\d)(ti|super|xtx|xt|gre|ada|laptop|mobile)(?![a-z])"), r" \1"),
    (re.compile(r"(?<![a-z])(rtx|gtx|rx|tpu|gaudi|trainium|inferentia|arc|epyc|xeon|jetson|tesla|ascend|pro)(?=v?\d)"), r"\1 "),
    (re.compile(r"(?<![a-z])(rtx)(?=pro|a\d)"), r"\1 "),
    (re.compile(r"(?<![a-z])(pro)(?=\d)"), r"\1 "),
    (re.compile(r"(?<![a-z])(dgx(?!c(?![a-z]))|hgx|titan)(?=[a-z])"), r"\1 "),
    (re.compile(r"(?<=\d)(sxm|pcie|nvl|ultra|max|pro)(?=\d*(?![a-z]))"), r" \1"),
    (re.compile(r"(?<![a-z])(sxm|pcie|hgx|oam)\d+"), r"\1"),
    (re.compile(r"(?<=\d) (gb|gib|tb|mib|w)(?![a-z])"), r"\1"),
    (re.compile(r"(?<=\d)g(?![a-z0-9.])"), "gb"),
    (re.compile(r"(?<![a-z0-9])(\d+)[- ]cores?(?= gpu)"), r"\1c"),
    (re.compile(r"(?<![a-z0-9])(?:\d+[- ]cores?|(?:lp)?ddr\dx?-\d+)(?![a-z0-9])"), " "),
    (re.compile(r"(?<![a-z0-9.])[\d.]+ ?[tg]b/s"), " "),  # a bandwidth
    (re.compile(r"[^a-z0-9.+]+"), " "),
)
_COUNT_FIRST = re.compile(r"^\s*(?:nvidia\s+|amd\s+)?(\d+)(?:\s*[x×*]\s*|\s+(?=[a-z]))(?=\S)(.*\S)\s*$", re.IGNORECASE)
_COUNT_INSIDE = re.compile(r"\((\d+)\s*[x×]\s*([^,()]*[a-z][^,()]*)[,)]", re.IGNORECASE)
_COUNT_LAST = re.compile(r"^(.*\S)\s*[x×*:]\s*(\d+)\s*$", re.IGNORECASE)
_NUMBERS = {"single": 1, "one": 1, "dual": 2, "twin": 2, "two": 2, "triple": 3, "three": 3, "quad": 4, "four": 4, "six": 6, "eight": 8}
_COUNT_WORD = re.compile(rf"^\s*({'|'.join(_NUMBERS)})\s+(\S.*)$", re.IGNORECASE)
_SIZE = re.compile(r"^([\d.]+)(gb|g|gib|tb|mib)$")
_WATTS = re.compile(r"^\d+w$")
_CORES = re.compile(r"^\d+c(?:ore)?$")
_TORUS = re.compile(r"^\d+(?:x\d+)+$")
_DOMAIN = re.compile(r"^nvl(\d+)$")


def slug(text: str) -> str:
    """Lower case with single dashes: the form of file names.

    >>> slug("  GB200 NVL72 "), slug("h100_sxm")
    ('gb200-nvl72', 'h100-sxm')
    """
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")


def words(text: str) -> tuple[str, ...]:
    """The words of a machine's spelling, each in one form.

    >>> words("NVIDIA A100-SXM4-80GB"), words("TPUv5e"), words("H100NVL")
    (('nvidia', 'a100', 'sxm', '80gb'), ('tpu', 'v5e'), ('h100', 'nvl'))
    >>> words("M1 Max 24-Core GPU 32GB")
    ('m1', 'max', '24c', 'gpu', '32gb')
    """
    out = text.lower()
    for pattern, by in _SPLITS:
        out = pattern.sub(by, out)
    return tuple(word for word in (w.strip(".") for w in out.split()) if word)


def counts(text: str) -> Iterator[tuple[int, str]]:
    """Every way to read a spelling as a number of something.

    >>> list(counts("8xh100")), list(counts("3090 24GB * 6")), list(counts("A100:4")), list(counts("dual 3090"))
    ([(8, 'h100')], [(6, '3090 24GB')], [(4, 'A100')], [(2, '3090')])
    """
    match = _COUNT_INSIDE.search(text)
    if match:
        yield int(match.group(1)), match.group(2)
    match = _COUNT_FIRST.match(text)
    if match:
        yield int(match.group(1)), match.group(2)
    match = _COUNT_LAST.match(text)
    if match:
        yield int(match.group(2)), match.group(1)
    match = _COUNT_WORD.match(text)
    if match:
        yield _NUMBERS[match.group(1).lower()], match.group(2)


def instance(text: str) -> str:
    """The key of a cloud's instance: its name in the form of file names, without what the cloud puts before all.

    >>> instance("Standard_ND96isr_H100_v5"), instance("ml.p5.48xlarge"), instance("BM.GPU.H100.8")
    ('nd96isr-h100-v5', 'p5.48xlarge', 'bm.gpu.h100.8')
    """
    return re.sub(r"^(?:standard-|ml\.|db\.)", "", slug(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What was recognised: a key of the catalogue, how many are meant, and the memory size that was written."""

    key: str
    chips: int | None = None  # devices named by a slice or domain size, as in v5e-8 or nvl72
    cores: int | None = None  # a bare number whose unit depends on the accelerator
    size: float | None = None  # bytes of device memory that the spelling states


def match_machine(text: str, aliases: Mapping[frozenset[str], str], ignored: Mapping[str, Iterable[str]]) -> Match | None:
    """The catalogue key whose alias shares most words with the text and leaves nothing unexplained.

    `ignored` holds the words that name nothing ("noise"), and those a bare number may follow ("runners").
    """
    known = {word for alias in aliases for word in alias}
    given = tuple(_singular(word, known) for word in words(text))
    pool = set(given)
    noise, runners = set(ignored["noise"]), set(ignored["runners"])
    fitting = (alias for alias in aliases if alias <= pool)
    for alias in sorted(fitting, key=lambda a: (-len(a), sorted(a))):
        found = _explain(given, alias, noise, runners)
        if found is not None:
            return replace(found, key=aliases[alias])
    return None


def _singular(word: str, known: set[str]) -> str:
    """One of what a plural names ("H100s"): the L40S is a name of its own."""
    return word[:-1] if word.endswith("s") and word not in known and word[:-1] in known else word


def _explain(given: tuple[str, ...], alias: frozenset[str], noise: set[str], runners: set[str]) -> Match | None:
    """What the words beside the alias say, or None where one of them says something unknown."""
    chips, cores, size = None, None, None
    before = ""
    for word in given:
        torus, domain, bytes_ = _TORUS.match(word), _DOMAIN.match(word), _SIZE.match(word)
        if word in alias or word in noise or word in runners:
            pass
        elif bytes_:
            size = float(bytes_.group(1)) * _BYTES[bytes_.group(2)]
        elif torus:
            chips = math.prod(int(part) for part in word.split("x"))
        elif domain:
            chips = int(domain.group(1))
        elif word.isdigit() and before:
            cores = cores if before in runners else int(word)
        elif not _WATTS.match(word) and not _CORES.match(word):
            return None
        before = word
    return Match(key="", chips=chips, cores=cores, size=size)


_BYTES = {"gb": 1e9, "g": 1e9, "gib": 2.0**30, "tb": 1e12, "mib": 2.0**20}
