"""The user's own files: a broken one is left out with a warning, and nothing that is no file is ever opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rackmath.errors import BadInput
from rackmath.evidence import result_tools
from rackmath.faces.cli import run
from rackmath.files import CONFIG, parse_json, parse_toml, read_text
from rackmath.world import catalog, overlay
from rackmath.world.engine_names import engine

GOOD = 'name = "good"\nd_model = 64\nvocab = 10\n[[groups]]\nmixer = {kind = "gqa", n_heads = 4}\n'
BOX = 'base = "h100"\nn_devices = 4\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    for folder in ("models", "machines", "engines"):
        (tmp_path / folder).mkdir()
    overlay.warnings()
    return tmp_path


def spoil(path: Path, how: str) -> None:
    """Put something at a path that is no description."""
    if how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how in ("device", "nowhere", "pipe behind a link"):
        os.mkfifo(path.with_suffix(".pipe"))
        path.symlink_to({"device": "/dev/zero", "nowhere": "/nowhere"}.get(how, path.with_suffix(".pipe")))
    else:
        path.write_bytes({"empty": b"", "NUL": b"a = 1\0", "UTF-16": "a = 1".encode("utf-16"), "text": b"]["}[how])


HOW = ("pipe", "folder", "device", "nowhere", "pipe behind a link", "empty", "NUL", "UTF-16", "text")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("place", ["models/bad.toml", "models/bad.json", "machines/bad.toml", "machines/h100.toml"])
def test_a_broken_file_is_left_out_with_a_warning(home: Path, place: str, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "models" / "good.toml").write_text(GOOD)
    (home / "machines" / "box.toml").write_text(BOX)
    spoil(home / place, how)
    assert run(["models", "good"]) == 0
    said = capsys.readouterr().err if place.startswith("models") else ""
    assert run(["machines", "box"]) == 0
    said += capsys.readouterr().err if place.startswith("machines") else ""
    assert said.startswith("warning: ")
    assert str(home / place) in said
    assert said.count("\n") == 1


def test_lists_and_other_questions_go_on_beside_broken_files(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "models" / "good.toml").write_text(GOOD)
    for place in ("models", "machines"):
        spoil(home / place / "bad.toml", "pipe")
        assert run([place]) == 0
        assert "bad.toml" in capsys.readouterr().err
    assert run(["memory", "good", "--on", "8xh100"]) == 0
    assert capsys.readouterr().err.count("warning: ") == 2


@pytest.mark.parametrize("how", HOW)
def test_a_broken_file_that_is_asked_for_says_what_is_wrong(home: Path, how: str) -> None:
    for place, ask in (("models/bad.toml", catalog.model), ("machines/bad.toml", catalog.machine)):
        spoil(home / place, how)
        with pytest.raises(BadInput) as caught:
            ask("bad")
        assert "bad.toml" in str(caught.value)
    spoil(home / "engines" / "mine.toml", how)
    if how != "nowhere":
        with pytest.raises(BadInput, match=r"mine\.toml"):
            engine("mine")


def test_engines_that_rest_on_themselves_or_each_other_are_refused(home: Path) -> None:
    (home / "engines" / "mine.toml").write_text('base = "mine"\n')
    (home / "engines" / "one.toml").write_text('base = "two"\n')
    (home / "engines" / "two.toml").write_text('base = "one"\n')
    for name in ("mine", "one", "two"):
        with pytest.raises(BadInput, match="is not an engine of the package"):
            engine(name)
    (home / "engines" / "vllm.toml").write_text('base = "vllm2"\nfactors = 3\n')
    assert engine("vllm").name == "vllm"
    assert len(overlay.warnings()) == 1


def test_machines_that_rest_on_themselves_are_left_out(home: Path) -> None:
    (home / "machines" / "loop.toml").write_text('base = "loop"\n')
    assert "loop" not in catalog.devices()
    with pytest.raises(BadInput, match="base of machine 'loop'"):
        catalog.machine("loop")
    assert catalog.machine("8xh100").n_devices == 8


def test_an_unread_description_with_infinite_numbers_is_left_out(home: Path) -> None:
    (home / "models" / "bad.toml").write_text(GOOD + 'ffn = {kind = "mlp", d_ff = inf}\n')
    assert "bad" not in [one.name for one in catalog.models()]
    assert "d_ff = inf" in overlay.warnings()[0]


# --- files and their text -------------------------------------------------------------------------------------------


def test_too_large_a_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(CONFIG + 1)
    with pytest.raises(BadInput, match="4,000,001 bytes; at most 4,000,000"):
        read_text(path, most=CONFIG)


def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert catalog.model(path).d_model == 64


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 200_000 + " = 1",
        '"a"' + '."a"' * 100_000 + " = 1",
        "[" + "a." * 100_000 + "a]",
        "a = " + "[" * 200_000,
        "a = " + "{a=" * 50_000,
        "a = " + "9" * 5000,
        "a = " + "9" * 400,
        "a = " + "[" * 40 + "]" * 40,
        "a" * 900_000,
        "a = 1\na = 2",
        "[a]\nb = 1\n[a]\nc = 1",
    ],
)
def test_toml_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_toml(text, "x.toml")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[" * 40 + "]" * 40, "9" * 5000, "9" * 400, '{"a": 1, "b": {"a": 2, "a": 3}}']
)
def test_json_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_json(text, "x.json")
    assert len(str(caught.value)) < 250


def test_a_result_with_a_number_of_many_digits_is_one_sentence(tmp_path: Path) -> None:

    path = tmp_path / "run.json"
    path.write_text('{"backend": "vllm", "request_rate": 1%s, "mean_tpot_ms": 12.0}' % ("0" * 400))
    with pytest.raises(BadInput, match="a number in it has 401 digits"):
        result_tools.read([path])
    path.write_text('{"backend": "vllm", "completed": 1e200, "mean_tpot_ms": 12.0, "mean_ttft_ms": 3}')
    with pytest.raises(BadInput, match="beyond any measurement"):
        result_tools.read([path])
