"""What people write for cards, computers and rented instances, and the machine each means (machine_names.csv).

`means` is the name of the machine, or after a question mark what a refusal must offer: a wrong guess is worse.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackmath.errors import BadInput
from rackmath.world import cards, catalog, shelf
from rackmath.world.names import instance

with (Path(__file__).parents[1] / "machine_names.csv").open(newline="", encoding="utf-8") as _lines:
    NAMES = {row["text"]: row["means"] for row in csv.DictReader(_lines)}


@pytest.fixture(autouse=True)
def no_user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))


@pytest.mark.parametrize("text", [text for text, means in NAMES.items() if not means.startswith("?")])
def test_a_name_means_this_machine(text: str) -> None:
    assert catalog.machine(text).name == NAMES[text]


@pytest.mark.parametrize("text", [text for text, means in NAMES.items() if means.startswith("?")])
def test_a_name_that_may_mean_several_is_asked_about(text: str) -> None:
    with pytest.raises(BadInput) as error:
        catalog.machine(text)
    for key in NAMES[text][1:].split(";"):
        assert key in str(error.value)


def test_the_table_is_as_large_as_it_says() -> None:
    assert len(NAMES) > 380


@pytest.mark.parametrize("name", shelf.rows("instances.csv"))
def test_an_instance_is_a_machine_or_a_family_of_instances(name: str) -> None:
    row = shelf.rows("instances.csv")[name]
    assert instance(name) == name, "the key is the form that names are brought to"
    assert row["provider"]
    assert row["source"]
    for means in row["machine"].removeprefix("?").split():
        assert catalog.machine(means)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [  # figures of the maker, against the rates by which a card's are worked out
        ("rtx-4070-super", "peak_bf16", 71e12),
        ("rtx-4080-super", "peak_bf16", 104.4e12),
        ("rtx-5070-ti", "peak_fp4", 703e12),
        ("rtx-5060-ti-16gb", "peak_fp4", 379.5e12),
        ("rtx-2080-ti", "peak_bf16", 53.8e12),
        ("titan-rtx", "peak_bf16", 130.5e12),
        ("rx-7900-xtx", "peak_bf16", 122.8e12),
        ("rx-9070-xt", "peak_bf16", 195e12),
        ("rx-9070-xt", "peak_fp8", 389e12),
        ("rtx-a5000", "peak_bf16", 111.1e12),
        ("rtx-pro-5000", "peak_fp4", 1.07e15),
        ("a10g", "peak_bf16", 70e12),
        ("p100", "peak_bf16", 19.05e12),
        ("mi50-32gb", "peak_int8", 53.6e12),
        ("v100-pcie", "peak_bf16", 112e12),
        ("max-1550", "peak_bf16", 839e12),
        ("strix-halo", "hbm_bandwidth", 256e9),
    ],
)
def test_values_of_a_card(name: str, field: str, value: float) -> None:
    assert getattr(catalog.machine(name), field) == pytest.approx(value, rel=0.012)


def test_memory_of_a_computer_is_what_its_gpu_is_offered() -> None:
    assert catalog.machine("strix halo").hbm_capacity == 96 * 2**30  # of 128 GB, as llama.cpp prints it
    half = catalog.machine("Strix Halo 64GB")
    assert half.hbm_nominal == 64e9
    assert half.hbm_capacity == pytest.approx(48 * 2**30)  # by the same share
    assert catalog.machine("M3 Max 36GB").hbm_bandwidth == 300e9  # sold with the smaller chip alone
    assert catalog.machine("M3 Max 64GB").hbm_bandwidth == 400e9


def test_a_card_of_a_laptop_is_not_the_one_of_a_desktop() -> None:
    laptop, desktop = catalog.machine("RTX 4090 Laptop GPU"), catalog.machine("RTX 4090")
    assert (laptop.box, desktop.box) == (16e9, 24e9)
    assert laptop.hbm_bandwidth < 0.6 * desktop.hbm_bandwidth


def test_a_part_of_a_device_is_refused() -> None:
    with pytest.raises(BadInput, match="slice of a device, which is not described; give all of it: h100"):
        catalog.machine("H100 MIG 1g.10gb")


def test_cards_stand_once() -> None:
    files = {path.stem for path in (Path(catalog.shipped.FACTS) / "accelerators").glob("*.toml")}  # type: ignore[attr-defined]
    assert not files & set(cards.known())


@given(st.sampled_from(sorted(text for text, means in NAMES.items() if not means.startswith("?"))), st.integers(2, 64))
def test_a_count_before_a_name_multiplies_it(text: str, n: int) -> None:
    one = catalog.machine(text)
    if one.n_devices == 1:
        assert catalog.machine(f"{n}x {one.name}").n_devices == n
    try:
        many = catalog.machine(f"{n} x {text}")
    except BadInput:
        return
    assert many.n_devices == n * one.n_devices
    assert many.accelerator == one.accelerator
