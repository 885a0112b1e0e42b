"""The parts of an answer. They are plain data: no part knows of terminals, pages or files.

A `key` is where a part's values stand in the record of the answer; dots nest it ("memory.room"). A part without a key
is for people alone, and every number it shows must stand in the record under another key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .charts import dress
from .columns import Column as Column
from .lanes import Lanes
from .maps import Map
from .ranges import Ranges
from .record import Record, csv_text, json_text, nested, plain, put
from .terms import Term
from .text import between, cell, pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number people look at: SI value with its unit, the interval it lies in, the bound it cannot beat.

    `to`: the other end where the figure is a range. `note`: what it means, in a few words. `objective`: the limit it
    must keep. `strong`: the figure people came for.
    """

    key: str
    label: str
    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    to: float | None = None
    note: str = ""
    objective: str = ""
    strong: bool = False

    @property
    def over(self) -> float | None:
        """How many times as long, or as little, as the bound."""
        if not self.bound or not self.value:
            return None
        return max(self.value, self.bound) / min(self.value, self.bound)

    @property
    def words(self) -> str:
        """The value, or the range, in words."""
        return cell(self.value, self.unit) if self.to is None else between(self.value, self.to, self.unit)

    @property
    def interval(self) -> str:
        """The interval in words."""
        return between(self.low, self.high, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures under each other.

    `against`: key of the figure that the others of its unit are multiples of. `groups`: places at which a new group
    begins. Bounds and objectives have columns of their own where a figure has any.
    """

    key: str
    figures: tuple[Figure, ...]
    title: str = ""
    aside: str = ""
    against: str = ""
    head: str = "estimate"
    groups: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[bool, bool, bool, bool]:
        """Whether any figure has an interval, a bound, an objective and a note."""
        f = self.figures
        return (any(x.low is not None for x in f), any(x.bound is not None for x in f), any(x.objective for x in f), any(x.note for x in f))

    def record(self) -> Record:
        """Each value under its key; ends of the interval and the bound beside it."""
        found: Record = {}
        for figure in self.figures:
            put(found, figure.key, figure.value if figure.to is None else [figure.value, figure.to])
            for name in ("low", "high", "bound"):
                if (value := getattr(figure, name)) is not None:
                    put(found, f"{figure.key}_{name}", value)
        return found

    def table(self) -> list[Record]:
        """A row for each figure."""
        names = ("key", "value", "unit", "low", "high", "bound")
        return [{name: getattr(figure, name) for name in names} for figure in self.figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of SI values with typed columns.

    `rows` are the record's. `shown`: the rows for people, where they are others (equal ones merged, the last ones
    summed up). `strong` and `faint`: places of rows in what is shown; `heads`: of rows that head those below.
    `total`: a last row, set apart. `marks`: a few words behind a row. `flat`: the rows of CSV, where those of the
    record hold lists or mappings.
    """

    key: str
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    aside: str = ""
    shown: Sequence[Mapping[str, Any]] | None = None
    total: Mapping[str, Any] | None = None
    strong: int | None = None
    faint: frozenset[int] = frozenset()
    heads: frozenset[int] = frozenset()
    marks: Mapping[int, str] = field(default_factory=dict)
    headless: bool = False
    flat: Sequence[Mapping[str, Any]] | None = None

    @property
    def visible(self) -> Sequence[Mapping[str, Any]]:
        """The rows people see."""
        return self.rows if self.shown is None else self.shown

    def record(self) -> list[Record]:
        """The rows of the record."""
        return [dict(row) for row in self.rows]

    def table(self) -> list[Record]:
        """The rows of CSV."""
        return [dict(row) for row in (self.rows if self.flat is None else self.flat)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A whole split into named parts; `whole` where the parts need not fill it."""

    key: str
    parts: Mapping[str, float]
    unit: str
    title: str = ""
    aside: str = ""
    whole: float | None = None

    def record(self) -> Record:
        """Each part by its name, and the whole where it is given."""
        return dict(self.parts) | ({} if self.whole is None else {"whole": self.whole})


@dataclass(frozen=True, slots=True)
class Say:
    """A sentence whose numbers are data: `Say("{factor:x} as long", {"factor": 2.4}, key="crossing")`.

    Fields of the text name values and, behind the colon, the unit that makes words of them (`text.cell`). `*words*`
    stand out. Values the text does not name are for the record alone.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    faint: bool = False
    title: str = ""
    aside: str = ""

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """The sentence in pieces of plain and of strong words."""
        return pieces(self.text, self.values)

    @property
    def words(self) -> str:
        """The sentence with its numbers put in.

        >>> Say("{bytes:B} over all layers", {"bytes": 7.66e9}).words
        '7.66 GB over all layers'
        """
        return "".join(text for text, _ in self.pieces)

    def record(self) -> Record:
        """The values of the sentence."""
        return dict(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What people came for, framed: a few sentences under a head. Values they hold stand in the record elsewhere.

    `good`: whether it is what was hoped for.
    """

    says: tuple[Say, ...]
    head: str = ""
    good: bool = True
    key: str = ""
    title: str = ""
    aside: str = ""

    def record(self) -> Record:
        """The values of the sentences."""
        return {name: value for say in self.says for name, value in say.values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Words to be copied as they are: a command of a shell, a file."""

    text: str
    key: str = ""
    title: str = ""
    aside: str = ""

    def record(self) -> Record:
        """The text."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture as a Vega-Lite specification; `lines`: its height in a terminal, 0 where that does not draw it."""

    spec: Mapping[str, Any]
    key: str = ""
    title: str = ""
    aside: str = ""
    lines: int = 15

    def record(self) -> Record:
        """The specification."""
        return dress(dict(self.spec))


Block = Figures | Table | Bar | Say | Frame | Code | Chart | Ranges | Lanes | Map


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command answers: blocks for people, a record for programs, terms for who asks why.

    `data`: what the record holds beside the blocks' values. `table`: key of the table that `rows` and CSV give;
    of a mapping of mappings each is a row, its name first; or what makes those rows, where the record holds columns.
    `remarks`: notes for people that only repeat what the record says elsewhere. `saves`: other files it can be
    written to, by their ending (".trace.json"). `command` and `question` are set at
    the door (`questions.registry.ask`): the keyword arguments that give this answer again.

    Tables and figures are attributes: `answer.memory.room`, `answer.front[0]["tpot"]`.
    """

    title: Say
    subtitle: str = ""
    blocks: tuple[Block, ...] = ()
    table: str | Callable[[], list[Record]] = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    terms: Callable[[], Term] | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    saves: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    exit_code: int = 0
    command: str = ""
    question: Mapping[str, Any] = field(default_factory=dict)
    subject: Any = None  # the domain's own record, for hand-set screens; no part of the record of the answer

    @cached_property
    def record(self) -> Record:
        """Everything as plain SI values: {question, data, a key for each block, notes}."""
        found: Record = {"question": dict(self.question), **self.data}
        for block in self.blocks:
            if block.key:
                put(found, block.key, block.record())
        record: Record = plain(found | {"notes": list(self.notes)})
        return record

    def to_dict(self) -> dict[str, Any]:
        """The record as nested dicts and lists of plain values; what is unknown or infinite is None."""
        return self.record

    def to_json(self) -> str:
        """The record as strict JSON: what `--json` prints, to the byte."""
        return json_text(self.record)

    def to_csv(self) -> str:
        """The main table as CSV: what `--csv` prints, to the byte."""
        return csv_text(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the main table."""
        if not isinstance(self.table, str):
            return self.table()
        for block in self.blocks:
            if block.key == self.table and isinstance(block, Table | Figures | Ranges):
                return block.table()
        found = self.data.get(self.table, ())
        if isinstance(found, Mapping):
            return [{"name": name, **row} for name, row in found.items()]
        return [dict(row) for row in found]

    def explain(self, levels: int | None = None) -> Term:
        """The answer as a tree of named terms, at most so many levels deep."""
        from ..errors import BadInput

        if self.terms is None:
            raise BadInput("a listing has no terms to explain; name one of its entries")
        tree = self.terms()
        return tree if levels is None else tree.to_depth(levels)

    @property
    def pictures(self) -> tuple[Chart | Ranges | Lanes | Map, ...]:
        """The blocks that are pictures."""
        return tuple(b for b in self.blocks if isinstance(b, Chart | Ranges | Lanes | Map))

    @property
    def charts(self) -> tuple[Mapping[str, Any], ...]:
        """The Vega-Lite specifications of its pictures, with the notes and labels that a terminal does not need."""
        return tuple(dress(dict(b.spec)) for b in self.pictures)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {kind: shown for kind, make in FORMS.items() if (shown := make(self)) is not None}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        try:
            return nested(self.record[name])
        except KeyError:
            from ..errors import did_you_mean

            near = did_you_mean(name, self.record)
            raise AttributeError(f"the answer of {self.command or 'this command'} has no {name!r}{near}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.record})

    def __repr__(self) -> str:
        return f"<{self.command or 'answer'}: {self.title.words}>"


FORMS: dict[str, Callable[[Answer], Any]] = {}
"""Ways to show an answer by MIME type; faces add theirs (`faces.notebook`)."""
