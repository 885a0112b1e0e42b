"""`validate` on made-up files: sources, the filter of packaged rows, the peer's column, noise, the page's marks."""

from __future__ import annotations

import csv
import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from commands.test_score import MADE
from hfdata import DATA

import rackmath
from rackmath.errors import BadInput
from rackmath.evidence import noise, peer, published, validate
from rackmath.evidence.kinds import answered, kind_named
from rackmath.evidence.published import FILES, PACKAGE, PACKAGED, VERSION, listed, packaged
from rackmath.evidence.table import table
from rackmath.faces import notebook, page
from rackmath.faces.cli import run
from rackmath.views import scores as views

ROOT = Path(__file__).resolve().parents[2]
SILICON = DATA / PACKAGED.path


def made(folder: Path, *kinds: str) -> Path:
    """A data folder with the made-up rows of some kinds under the published names."""
    for one in FILES:
        if one.kind in kinds:
            path = folder / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            written(path, MADE[one.kind])
    return folder


def written(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed, wherever the tests run."""

    def none(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(published.metadata, "distribution", none)  # type: ignore[attr-defined]


def packed(folder: Path, rows: list[dict[str, str]], version: str = VERSION) -> Path:
    """A made-up installed package with these rows."""
    about = folder / f"aiconfigurator_core-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n")
    path = folder / published.MEMBER
    path.parent.mkdir(parents=True)
    written(path, rows)
    return folder


def as_packaged(name: str, row: dict[str, str], concurrency: str) -> dict[str, str]:
    """A made-up row in the form of the package: no columns of our own, concurrency in the description."""
    own = ("source", "silicon_concurrency", "measured_date")
    said = f"source_file=x.csv; silicon_concurrency={concurrency}; measured=2026-03-01T00:00:00.000Z"
    return {k: v for k, v in row.items() if k not in own} | {"id": name, "silicon_data_source": said}


# --- sources ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hidden")
def test_files_that_are_there_are_scored_and_the_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    data = made(tmp_path, "inferencex", "trtllm-static", "mlperf")
    assert run(["validate", "--data", str(data)]) == 0
    screen = capsys.readouterr().out
    rows = sum(len(MADE[kind]) for kind in ("inferencex", "trtllm-static", "mlperf"))
    assert f"{rows} measured rows of 3 files" in screen
    assert screen.index("aggregated") < screen.index("disaggregated")
    assert max(len(line) for line in screen.splitlines()) <= 100
    assert f"{PACKAGE} is not installed (pip install 'rackmath[validate]')" in " ".join(screen.split())
    for one in FILES:
        assert (f"{one.path}: not in the data folder" in screen) == (not (data / one.path).exists())


@pytest.mark.usefixtures("hidden")
def test_nothing_at_all_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: there is nothing to score")
    assert said.err.count("\n") == 1
    assert "pip install 'rackmath[validate]'" in said.err
    assert run(["validate", "--data", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_the_table_is_that_of_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = made(tmp_path, "silicon")
    assert run(["validate", "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run(["score", str(data / PACKAGED.path), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    modes = {cell["name"]: cell["columns"] for cell in scored["mode"]}
    assert found["scores"]
    for line in found["scores"]:
        theirs = modes[line["mode"]][line["column"]]
        assert {k: line[k] for k in ("n", "bias", "mape", "median", "p90", "within_20")} == {
            k: theirs[k] for k in ("n", "bias", "mape", "median", "p90", "within_20")
        }
    assert run(["validate", "--data", str(data), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["column"] for row in rows] == [line["column"] for line in found["scores"]]
    assert run(["explain", "validate", "--data", str(data)]) == 0


@pytest.mark.parametrize("suffix", [".svg", ".json", ".txt"])
def test_files_by_their_ending(tmp_path: Path, suffix: str) -> None:
    data = made(tmp_path / "data", "silicon", "inferencex")
    out = tmp_path / f"scores{suffix}"
    assert run(["validate", "--data", str(data), "-o", str(out)]) == 0
    assert out.stat().st_size > 500


def test_the_runs_that_come_along_are_scored_as_score_scores_them() -> None:
    found, scored = rackmath.validate(data="example"), rackmath.score("example")
    assert found.files == [
        {"file": "example_runs.csv", "kind": "inferencex", "source": "example_runs.csv", "rows": 15, "answered": 15, "coverage": 1}
    ]
    tpot = next(line for line in found.scores if line["column"] == "median_tpot")
    assert {k: tpot[k] for k in ("n", "bias", "mape")} == {k: scored.columns["median_tpot"][k] for k in ("n", "bias", "mape")}
    assert (found.missing, found.peer) == ([], None)
    [drawn] = found.charts
    assert [layer["name"] for layer in drawn["spec"]["layer"]] == ["band", "equal", "dots"]
    shown = [row["panel"] for row in drawn["data"]["values"]]
    assert set(shown) == {"H200 · 15 rows"}
    dots = drawn["spec"]["layer"][-1]["encoding"]
    assert dots["x"]["axis"]["values"] == dots["y"]["axis"]["values"] == [5.0, 10.0, 20.0, 50.0]


def test_modes_and_columns_stand_under_the_file_on_a_page() -> None:
    body = page.body(rackmath.validate(data="example"), terms=False)
    assert '<tr class="strong"><td>inferencex</td>' in body
    assert "<td>&ensp;&ensp;&ensp;median_tpot</td>" in body


def test_a_table_without_room_moves_closer_before_a_column_is_left_out() -> None:
    found = rackmath.validate(data="example")
    assert "Columns hidden" not in notebook.text(found, 100)
    assert "Columns hidden at this width: p90, rank." in notebook.text(found, 72)


# --- the packaged rows --------------------------------------------------------------------------------------------


def test_only_listed_rows_of_the_package_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = list(listed())[:3]
    rows = [as_packaged(name, row, "64") for name, row in zip(mine, MADE["silicon"], strict=True)]
    secret = rows[0] | {"id": "a row kept apart", "tp_size": "not to be looked at", "silicon_tpot_ms": "1"}
    monkeypatch.syspath_prepend(str(packed(tmp_path / "site", [rows[0], secret, *rows[1:]])))
    header, found = packaged()
    assert [row["id"] for row in found] == mine
    assert {"silicon_concurrency", "measured_date"} <= set(header)
    assert {(row["silicon_concurrency"], row["measured_date"]) for row in found} == {("64", "2026-03-01")}
    empty = tmp_path / "empty"
    empty.mkdir()
    v = validate.validate(empty)
    assert [a.given["id"] for a in v.answers("silicon")] == mine
    assert v.found[0].source == f"{PACKAGE} {VERSION}"
    assert v.peer is None  # the recorded scores are of all rows


def test_another_version_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [as_packaged(next(iter(listed())), MADE["silicon"][0], "64")]
    monkeypatch.syspath_prepend(str(packed(tmp_path, rows, "0.13.0")))
    with pytest.raises(BadInput, match=r"0\.13\.0, the score is of 0\.12\.0"):
        packaged()


def test_a_package_without_listed_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(packed(tmp_path, [as_packaged("unlisted", MADE["silicon"][0], "64")])))
    with pytest.raises(BadInput, match="has none of the rows"):
        packaged()


@pytest.mark.skipif(not SILICON.is_file(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")
def test_listed_rows_are_those_of_the_public_file() -> None:
    assert set(listed()) <= {row["id"] for row in table(SILICON)[1]}  # the file has grown since the list was made


@pytest.mark.skipif(not SILICON.is_file(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")
def test_the_installed_package_says_what_the_public_file_says() -> None:
    try:
        _, rows = packaged()
    except BadInput as error:
        pytest.skip(str(error))
    ours = {row["id"]: row for row in table(SILICON)[1]}

    def same(a: str, b: str) -> bool:
        return a == b or (bool(a) and bool(b) and float(a) == float(b))

    for row in rows:
        assert all(same(value, ours[row["id"]][name]) for name, value in row.items()), row["id"]
    assert len(rows) == len(ours)


# --- the peer -----------------------------------------------------------------------------------------------------

PEER = 'id,mode,tpot_ms,ttft_ms,reason\na,agg,33,550,\nb,agg,,,"ValueError: no"\nc,disagg,10,700,\nelsewhere,agg,1,1,\n'


def test_the_peers_errors_are_on_the_rows_it_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured TPOT are 30 (a), 40 (b) and 20 (c); the peer says 33, nothing and 10."""
    data = made(tmp_path, "silicon")
    (tmp_path / "peer.csv").write_text(PEER)
    v = validate.validate(data, peer=tmp_path / "peer.csv")
    assert v.peer is not None
    of = {(b.column, b.mode): b for b in v.peer.lines}
    all_rows = of["silicon_tpot_ms", "all"]
    assert all_rows.theirs.errors is not None
    assert (all_rows.theirs.rows, all_rows.theirs.answered) == (3, 2)
    assert all_rows.theirs.errors.mape == pytest.approx((0.1 + 0.5) / 2)
    assert all_rows.theirs.errors.bias == pytest.approx((0.1 - 0.5) / 2)
    assert (all_rows.shared.rows, all_rows.ours.rows) == (2, 3)
    assert of["silicon_ttft_ms", "aggregated"].theirs.errors is not None
    assert of["silicon_ttft_ms", "aggregated"].theirs.errors.mape == pytest.approx(0.1)
    one = of["silicon_tpot_ms", "aggregated"].shared.errors
    a = next(a for a in v.answers("silicon") if a.given["id"] == "a")
    assert one is not None
    assert one.mape == pytest.approx(abs(a.said.estimates["silicon_tpot_ms"].pred / 30 - 1))
    assert run(["validate", "--data", str(data), "--peer", str(tmp_path / "peer.csv")]) == 0
    assert "aiconfigurator 0.12.0 and ours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("id,mode\na,agg\n", "has no column 'tpot_ms'"),
        ("id,mode,tpot_ms,ttft_ms,reason\na,agg,fast,1,\n", "'fast' where a time in ms"),
        ("id,mode,tpot_ms,ttft_ms,reason\nz,agg,1,1,\n", "answers no row"),
    ],
)
def test_a_peer_file_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, phrase: str) -> None:
    data = made(tmp_path, "silicon")
    (tmp_path / "peer.csv").write_text(text)
    assert run(["validate", "--data", str(data), "--peer", str(tmp_path / "peer.csv")]) == 2
    assert phrase in capsys.readouterr().err


def test_the_recorded_scores_are_of_the_listed_rows() -> None:
    known = peer.recorded()
    marks = listed()
    scores = {(one["column"], one["mode"]): one for one in known["score"]}
    assert set(scores) == {(column, mode) for column in peer.COLUMNS for mode in peer.MODES}
    for column in peer.COLUMNS:
        assert scores[column, "all"]["n"] == sum(marks.values())
        for key, total in (("n", sum(marks.values())), ("rows", len(marks))):
            assert sum(scores[column, mode][key] for mode in ("aggregated", "disaggregated")) == total
    assert {"name", "version", "source", "date", "command"} <= set(known)


# --- versions, noise, the page ------------------------------------------------------------------------------------


def test_rows_by_whether_their_engine_version_was_seen() -> None:
    from dataclasses import replace

    kind = kind_named("silicon")
    rows = [{**row, "backend_version": ""} for row in MADE["silicon"]]
    answers = answered(kind, rows, published.Asked())  # type: ignore[attr-defined]
    found = published.PublishedFile(published=PACKAGED, kind=kind, header=tuple(rows[0]), answers=answers, source="made up")
    assert validate.by_version(found) == []
    notes = (validate.SEEN, f"{validate.UNSEEN}: 9.9")  # type: ignore[attr-defined]
    told = [replace(a, said=replace(a.said, notes=(note,))) for a, note in zip(answers, notes, strict=False)]
    lines = validate.by_version(replace(found, answers=tuple(told)))
    assert [(line.mode, line.score.rows) for line in lines if line.column == "silicon_tpot_ms"] == [
        (validate.SEEN, 1),  # type: ignore[attr-defined]
        (validate.UNSEEN, 1),  # type: ignore[attr-defined]
    ]


def test_repeats_and_versions_are_told_apart() -> None:
    row = dict.fromkeys(noise.INFERENCEX, "1")
    runs = [("i", "0.010"), ("i", "0.011"), ("i", "0.011"), ("j", "0.022"), ("", "0.5")]
    rows = [row | {"image": image, "median_tpot": tpot, "median_ttft": "", "tput_per_gpu": ""} for image, tpot in runs]
    same, apart = (list(noise.apart(rows, floor)) for floor in noise.FLOORS["inferencex"])
    assert [(one.column, one.pairs, round(one.median, 6)) for one in same] == [("median_tpot", 1, 0.1)]
    assert [(one.pairs, round(one.median, 6)) for one in apart] == [(2, 1.1)]


def test_scores_left_out_of_a_fit_are_read_with_the_pooled_ones_first() -> None:
    text = """
    [[left_out]]
    by = "cell"
    of = "h100 DeepSeek-R1 sglang"
    quantity = "tpot"
    rows = 4
    median = 0.2
    [[left_out]]
    by = "cell"
    of = "all"
    quantity = "tpot"
    rows = 9
    median = 0.1
    mape = 0.15
    within_20 = 0.7
    bias = -0.02
    coverage_90 = 0.88
    """
    found = validate.left_out(text)
    assert [one["of"] for one in found] == ["all", "h100 DeepSeek-R1 sglang"]
    assert (found[0]["coverage_90"], found[1]["mape"]) == (0.88, None)
    assert views.held_out_cells(found[0]) == ("9", "−2%", "15%", "10%", "–", "70%", "88%")
    assert [views.held_out_name(by) for by in ("nothing", "cell")] == ["nothing: the fit itself", "each cell"]


def test_the_page_has_its_marks_and_pictures() -> None:
    page = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    parts = re.findall(r"\[\[\[cog cog\.out\(trust_page\.(\w+)\(\)\) \]\]\]", page)
    assert parts == ["fit", "scores", "left", "versions", "noise", "peer"]
    assert page.count("[[[end]]]") == len(parts)
    for name in re.findall(r"\]\((pictures/[\w-]+\.svg)\)", page):
        assert 1000 < (ROOT / "docs" / name).stat().st_size < 400_000
    source = (ROOT / "tools" / "trust_page.py").read_text(encoding="utf-8")
    assert all(f"def {part}() -> str:" in source for part in parts)
