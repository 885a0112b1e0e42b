"""Ciphers against published vectors, Feistel layers for any function, differentials against tables and real pairs."""

from __future__ import annotations

from itertools import count, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackmath.errors import BadInput
from rackmath.experiments import feistel, search
from rackmath.experiments.avalanche import avalanche
from rackmath.experiments.cipher import decrypt, encrypt, rows, states, to_int
from rackmath.experiments.ciphers import cipher, ciphers
from rackmath.experiments.des import SBOXES
from rackmath.experiments.differential import difference_table, linear_table, measure, random_key, sbox, uniformity
from rackmath.experiments.present import WIRING, present
from rackmath.experiments.search import Progress, best
from rackmath.experiments.simon_speck import simon_f
from rackmath.experiments.transitions import PUBLISHED, BoxTransitions, SimonTransitions, SpeckTransitions

ONES = (1 << 128) - 1
WORDS_64 = 0x1B1A1918131211100B0A090803020100

# name, key, plain, secret: appendix of the SIMON and SPECK paper, appendix of the PRESENT paper, NIST SP 500-20 and
# SP 800-17 with the worked example of many textbooks, FIPS 197 appendices B and C.1
VECTORS = [
    ("simon32", 0x1918111009080100, 0x65656877, 0xC69BE9BB),
    ("simon64", WORDS_64, 0x656B696C20646E75, 0x44C8FC20B9DFA07A),
    ("speck32", 0x1918111009080100, 0x6574694C, 0xA86842F2),
    ("speck64", WORDS_64, 0x3B7265747475432D, 0x8C6FA548454E028B),
    ("speck128", 0x0F0E0D0C0B0A09080706050403020100, 0x6C617669757165207469206564616D20, 0xA65D9851797832657860FEDF5C570D18),
    ("present", 0, 0, 0x5579C1387B228445),
    ("present", ONES >> 48, 0, 0xE72C46C0F5945049),
    ("present", 0, ONES >> 64, 0xA112FFC72F68417B),
    ("present", ONES >> 48, ONES >> 64, 0x3333DCD3213210D2),
    ("present-128", 0, 0, 0x96DB702A2E6900AF),
    ("present-128", ONES, ONES >> 64, 0x628D9FBD4218E5B4),
    ("des", 0x133457799BBCDFF1, 0x0123456789ABCDEF, 0x85E813540F0AB405),
    ("des", 0x10316E028C8F3B4A, 0, 0x82DCBAFBDEAB6602),
    ("des", 0x7CA110454A1A6E57, 0x01A1D6D039776742, 0x690F5B0D9A26939B),
    ("des", 0x0101010101010101, 1 << 63, 0x95F8A5E5DD31D900),
    ("aes", 0x000102030405060708090A0B0C0D0E0F, 0x00112233445566778899AABBCCDDEEFF, 0x69C4E0D86A7B0430D8CDB78070B4C55A),
    ("aes", 0x2B7E151628AED2A6ABF7158809CF4F3C, 0x3243F6A8885A308D313198A2E0370734, 0x3925841D02DC09FBDC118597196A0B32),
]


@pytest.mark.parametrize(("name", "key", "plain", "secret"), VECTORS)
def test_published_vectors(name: str, key: int, plain: int, secret: int) -> None:
    assert encrypt(cipher(name), plain, key) == secret
    assert decrypt(cipher(name), secret, key) == plain


@pytest.mark.parametrize("c", ciphers(), ids=lambda c: c.name)
@pytest.mark.parametrize("rounds", [1, 2, None])
def test_decrypting_undoes_any_number_of_rounds(c, rounds) -> None:
    rng = np.random.default_rng(1)
    plain = rng.integers(0, 256, (200, c.block_bits // 8), dtype=np.uint8)
    key = random_key(c, rng)
    secret = encrypt(c, plain, key, rounds)
    assert (decrypt(c, secret, key, rounds) == plain).all()
    assert (secret != plain).any(axis=1).all()
    assert to_int(secret[7]) == encrypt(c, to_int(plain[7]), key, rounds)


@pytest.mark.parametrize("c", ciphers(), ids=lambda c: c.name)
def test_the_last_state_is_the_ciphertext(c) -> None:
    plain = rows([12345], c.block_bits)
    every = list(states(c, plain, 99))
    assert len(every) == c.rounds + 1
    assert (every[0] == plain).all()
    assert to_int(every[-1][0]) == encrypt(c, 12345, 99)


def test_the_state_of_aes_after_its_first_round_is_that_of_fips_197() -> None:
    _, key, plain, _ = VECTORS[-1]
    every = list(states(cipher("aes"), rows([plain], 128), key))
    assert to_int(every[1][0]) == 0xA49C7FF2689F352B6B5BEA43026A5049


def test_des_turns_with_its_complement_and_undoes_itself_under_a_weak_key() -> None:
    key, plain, full = 0x133457799BBCDFF1, 0x0123456789ABCDEF, ONES >> 64
    des = cipher("des")
    assert encrypt(des, plain ^ full, key ^ full) == encrypt(des, plain, key) ^ full
    assert encrypt(des, encrypt(des, plain, 0x0101010101010101), 0x0101010101010101) == plain


def test_every_row_of_a_des_box_is_a_permutation() -> None:
    assert all(sorted(row) == list(range(16)) for box in SBOXES for row in box)


# --- Feistel layers ------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(bits=st.integers(1, 16), layers=st.integers(1, 12), seed=st.integers(0, 1 << 30))
def test_a_feistel_network_inverts_whatever_its_functions_are(bits: int, layers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fs = [feistel.random_function(bits, rng) for _ in range(layers)]
    a, b = (rng.integers(0, 1 << bits, 50).astype(feistel.word_type(bits)) for _ in range(2))
    x, y = feistel.backward(*feistel.forward(a, b, fs), fs)  # type: ignore[arg-type]
    assert (x == a).all()
    assert (y == b).all()
    same, z = feistel.additive(a, b, fs[0], bits)  # type: ignore[arg-type]
    assert (same == a).all()
    assert (z <= feistel.mask(bits)).all()
    assert (feistel.subtractive(same, z, fs[0], bits)[1] == b).all()


def test_without_the_swap_x_never_changes_and_with_it_both_halves_do() -> None:
    rng = np.random.default_rng(2)
    fs = [feistel.random_function(16, rng) for _ in range(8)]
    a, b = (rng.integers(0, 1 << 16, 4000).astype(np.uint16) for _ in range(2))
    x, y = a, b
    for f in fs:
        x, y = feistel.unswapped(x, y, f)
    assert (x == a).all()
    assert np.mean(y != b) > 0.99
    x, y = feistel.forward(a, b, fs)
    assert np.mean(x != a) > 0.99
    assert np.mean(y != b) > 0.99


def test_a_constant_function_inverts_too() -> None:
    a, b = np.arange(9, dtype=np.uint64), np.arange(9, dtype=np.uint64) * np.uint64(7)
    fs = [lambda half: np.zeros_like(half), lambda half: half // np.uint64(2)]
    assert (feistel.backward(*feistel.forward(a, b, fs), fs)[1] == b).all()


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most", "bias"), [("present", 4, 4), ("aes", 4, 16), ("des1", 16, 18), ("des5", 16, 20)])
def test_largest_entries_of_known_boxes(name: str, most: int, bias: int) -> None:
    box = sbox(name)
    table, linear = difference_table(box), linear_table(box)
    assert uniformity(table) == most
    assert abs(linear[1:]).max() == bias
    assert (table.sum(axis=1) == len(box.values)).all()
    assert table[0, 0] == len(box.values)
    assert (table % 2 == 0).all()


def test_entries_that_biham_shamir_and_matsui_used() -> None:
    assert difference_table(sbox("des1"))[0x34, 2] == 16
    assert linear_table(sbox("des5"))[0x10, 0xF] == -20


def test_no_single_bit_of_present_makes_a_single_bit() -> None:
    table = difference_table(sbox("present"))
    assert all(table[1 << i, 1 << j] == 0 for i in range(4) for j in range(4))


def test_a_linear_box_passes_differences_with_certainty() -> None:
    assert uniformity(difference_table(sbox("02468ACE13579BDF"))) == 16
    with pytest.raises(BadInput, match="certainty"):
        BoxTransitions(sbox("02468ACE13579BDF"))


# --- differences through a round -----------------------------------------------------------------------------------


def everything(after, total):
    return np.ones(len(after), dtype=bool)


@pytest.mark.parametrize(
    ("transitions", "difference"),
    [(SimonTransitions(), 0x00810003), (SpeckTransitions(), 0x00018000), (BoxTransitions(), 0x900000000000F01)],
)
def test_what_a_difference_becomes_has_probability_one_in_all(transitions, difference: int) -> None:
    before = np.array([difference], dtype=np.uint64)
    source, after, weights = transitions.follow(before, np.zeros(1), everything)
    assert len(np.unique(after)) == len(after) > 4
    assert (source == 0).all()
    assert (2.0**-weights).sum() == pytest.approx(1.0)
    assert transitions.floor(before)[0] <= weights.min()


def test_simon_weights_are_those_of_all_inputs() -> None:
    t = SimonTransitions()
    every = np.arange(1 << 16, dtype=np.uint16)
    for a in (1, 0x11, 0x8421, 0x5555, 0xFFFF, 0x7FFF):
        seen, times = np.unique(simon_f(every, 16) ^ simon_f(every ^ np.uint16(a), 16), return_counts=True)
        assert sorted(t.space(a)) == seen.tolist()
        assert (times == 2 ** (16 - t.weights[a])).all()


def test_speck_weights_are_met_by_additions() -> None:
    """The likeliest ways of one difference through an addition, counted over pairs."""
    t, c = SpeckTransitions(), cipher("speck32")
    before = np.array([0x00408001], dtype=np.uint64)
    _, after, weights = t.follow(before, np.zeros(1), everything)
    for i in np.argsort(weights)[:3]:
        found = measure(c, int(before[0]), int(after[i]), 1, pairs=1 << 16, keys=4)
        assert found.probability == pytest.approx(2.0 ** -weights[i], abs=5 * 2.0 ** (-weights[i] / 2 - 8))


# --- best characteristics ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def patience():
    """Searches run to their end, however slow the machine: their clock stands still."""
    with pytest.MonkeyPatch.context() as stopped:
        stopped.setattr(search, "monotonic", lambda: 0.0)
        yield


@pytest.fixture(scope="module")
def simon_best():
    return best(SimonTransitions(), 9).best


@pytest.fixture(scope="module")
def present_best():
    return best(BoxTransitions(), 6).best


@pytest.fixture(scope="module")
def speck_best():
    return best(SpeckTransitions(), 5).best


def test_simon32_has_the_published_weights(simon_best) -> None:
    assert [one.weight for one in simon_best] == list(PUBLISHED["simon32/64"][0][:9])


def test_speck32_has_the_published_weights(speck_best) -> None:
    assert [one.weight for one in speck_best] == list(PUBLISHED["speck32/64"][0][:5])


def test_five_rounds_of_present_have_ten_active_boxes() -> None:
    """Bogdanov et al., theorem 1: any five rounds have at least ten, and some have no more."""
    found = best(BoxTransitions(count=True), 5)
    assert found.unfinished is None
    assert [one.weight for one in found.best] == [1, 2, 4, 6, 10]


def test_present_weights(present_best) -> None:
    assert [one.weight for one in present_best] == [2, 4, 8, 12, 20, 24]


def test_a_characteristic_of_present_is_made_of_entries_of_its_table(present_best) -> None:
    table = difference_table(sbox("present"))
    for one in present_best:
        for (before, after), weight in zip(pairwise(one.differences), one.weights, strict=True):
            out = sum((after >> WIRING[i] & 1) << i for i in range(64))
            counts = [table[before >> 4 * n & 15, out >> 4 * n & 15] for n in range(16)]
            assert np.prod([count / 16 for count in counts]) == pytest.approx(2.0**-weight)


def test_a_characteristic_of_simon_keeps_the_feistel_form(simon_best) -> None:
    t = SimonTransitions()
    for one in simon_best:
        for (before, after), weight in zip(pairwise(one.differences), one.weights, strict=True):
            x, y = before >> 16, before & 0xFFFF
            assert after & 0xFFFF == x
            assert (after >> 16) ^ y in t.space(x)
            assert weight == t.weights[x]


@pytest.mark.parametrize(("name", "rounds"), [("simon32", 5), ("present", 3), ("speck32", 4)])
def test_real_pairs_follow_the_best_characteristic(name, rounds, simon_best, present_best, speck_best) -> None:
    """The differential holds the characteristic and its neighbours, so it is as likely or likelier."""
    found = {"simon32": simon_best, "present": present_best, "speck32": speck_best}[name][rounds - 1]
    got = measure(cipher(name), found.differences[0], found.differences[-1], rounds, pairs=1 << 17, keys=32)
    assert got.pairs == 1 << 17
    assert 2.0**-found.weight * (1 - 4 * got.error) < got.probability < 4 * 2.0**-found.weight


def test_another_box_in_present_is_searched_and_met() -> None:
    box = sbox("C6BE905A34F8D172")
    one = best(BoxTransitions(box), 2).best[-1]
    got = measure(present(80, box.values), one.differences[0], one.differences[-1], 2, pairs=1 << 15)
    assert got.weight == pytest.approx(one.weight, abs=0.3)


def test_a_search_tells_where_it_stands_and_stops_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Progress] = []
    assert best(SimonTransitions(), 4, progress=heard.append).unfinished is None
    assert {one.rounds for one in heard} == {2, 3, 4}
    ticks = count()
    monkeypatch.setattr(search, "monotonic", lambda: float(next(ticks)))  # a second for each look at the clock
    found = best(BoxTransitions(), 12, seconds=50.0)
    assert found.unfinished is not None
    rounds, weight = found.unfinished
    assert rounds == len(found.best) + 1
    assert weight >= (found.best[-1].weight if found.best else 0)


# --- avalanche -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rounds"), [("simon32", 7), ("des", 5), ("aes", 2), ("present", 3)])
def test_rounds_to_full_diffusion(name: str, rounds: int) -> None:
    """SIMON32: Kölbl et al. 2015; DES: Meyer 1978; AES: Daemen and Rijmen; PRESENT: 4 x 4 x 4 places from one."""
    found = avalanche(cipher(name), samples=256)
    n = found.cipher.block_bits
    assert found.diffused == rounds
    assert found.flipped[0] == pytest.approx(1 / n)
    assert found.reached[0] == pytest.approx(1 / n)
    assert found.strict is not None
    assert found.strict >= rounds
    assert found.flipped[-1] == pytest.approx(0.5, abs=0.01)
    assert found.worst[-1] < found.tolerance


def test_too_few_blocks_tell_nothing_of_one_half() -> None:
    few, enough = (avalanche(cipher("simon32"), samples=n) for n in (16, 32))
    assert (few.tells, few.strict) == (False, None)
    assert enough.tells
    assert enough.strict


def test_a_linear_box_never_mixes() -> None:
    found = avalanche(present(80, sbox("0123456789ABCDEF").values), samples=16)
    assert found.diffused is None
    assert (found.flipped == 1 / 64).all()


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: encrypt(c, 0, 1 << 64), "give 64 bits"),
        (lambda c: encrypt(c, 0, -1), "give 64 bits"),
        (lambda c: encrypt(c, 1 << 32, 0), "give 32 bits"),
        (lambda c: encrypt(c, np.zeros((4, 5), np.uint8), 0), "rows of 4 bytes"),
        (lambda c: encrypt(c, 0, 0, 33), "from 1 to 32"),
        (lambda c: encrypt(c, 0, 0, 0), "from 1 to 32"),
        (lambda c: encrypt(c, 0, 0, float("nan")), "from 1 to 32"),  # type: ignore[call-overload]
        (lambda c: best(SimonTransitions(), 0), "from 1"),
        (lambda c: best(SimonTransitions(), 2, seconds=float("nan")), "above 0"),
        (lambda c: avalanche(c, samples=1), "whole number"),
        (lambda c: sbox([1.5, 0]), "whole numbers"),  # type: ignore[list-item]
        (lambda c: sbox([float("nan"), 0]), "whole numbers"),  # type: ignore[list-item]
        (lambda c: sbox([0, 1, 2]), "input bits"),
        (lambda c: sbox([0, 0]), "permutation"),
        (lambda c: feistel.mask(65), "1 to 64"),
        (lambda c: feistel.random_function(20, np.random.default_rng()), "at most 16"),
        (lambda c: BoxTransitions(sbox("aes")), "4-bit"),
        (lambda c: cipher("seed"), "known"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        call(cipher("simon32"))
