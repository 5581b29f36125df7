import hashlib
import json
import math
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate import bucketing
from sluicegate.bucketing import Purpose, in_sample, in_treatment, position

VECTORS = json.loads((Path(bucketing.__file__).parent / "bucketing_vectors.json").read_text(encoding="utf-8"))

# No lone surrogates: they have no UTF-8, and neither JSON nor protobuf can carry them.
texts = st.text(st.characters(exclude_categories=["Cs"]))
weights = st.floats(0, 1)


def phones(count: int) -> list[str]:
    """Keys as callers have them: they differ in a few digits only, and many in the last one alone."""
    return [f"+49151{number:07d}" for number in range(count)]


def counted(buckets: Iterable[int], number: int) -> list[int]:
    """How many of the values 0 to `number` - 1 there are of each."""
    counts = [0] * number
    for bucket in buckets:
        counts[bucket] += 1
    return counts


def chi_square_p(observed: Sequence[int], expected: Sequence[float], freedom: int) -> float:
    """P(chi-square of `freedom` degrees ≥ the statistic of these counts).

    Exact: the regularised gamma function Q(freedom / 2, x / 2), by Q(a + 1, y) = Q(a, y) + y^a e^-y / Γ(a + 1) from
    Q(1/2, y) = erfc(√y) or Q(1, y) = e^-y.
    """
    y = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True)) / 2
    a, q = (0.5, math.erfc(math.sqrt(y))) if freedom % 2 else (1.0, math.exp(-y))
    while y > 0 and a < freedom / 2:
        q += math.exp(a * math.log(y) - y - math.lgamma(a + 1))
        a += 1
    return q


def kolmogorov_smirnov_p(values: Sequence[float]) -> float:
    """P(values drawn uniformly from [0, 1] lie at least as far from the diagonal), by Stephens' approximation."""
    n = len(values)
    distance = max(max((rank + 1) / n - value, value - rank / n) for rank, value in enumerate(sorted(values)))
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    signs = (1.0, -1.0) * 50
    return min(1.0, 2 * sum(sign * math.exp(-2 * (k * scaled) ** 2) for k, sign in enumerate(signs, 1)))


def uniformity_p(place: Callable[[str], float], keys: Sequence[str], bins: int = 100) -> float:
    """The p-value of `keys` falling evenly into `bins`."""
    counts = counted((int(place(key) * bins) for key in keys), bins)
    return chi_square_p(counts, [len(keys) / bins] * bins, bins - 1)


def independence_p(one: Callable[[str], float], other: Callable[[str], float], keys: Sequence[str]) -> float:
    """The p-value of the two positions of each key being independent, in a table of 10 × 10."""
    counts = counted((int(one(key) * 10) * 10 + int(other(key) * 10) for key in keys), 100)
    rows = [sum(counts[10 * i : 10 * i + 10]) for i in range(10)]
    columns = [sum(counts[j::10]) for j in range(10)]
    expected = [row * column / len(keys) for row in rows for column in columns]
    return chi_square_p(counts, expected, 81)


def flip_shares(place: Callable[[str], int], width: int, keys: Sequence[str]) -> list[float]:
    """For each low bit of each digit, and each of the `width` output bits: the share of keys whose flip flips it."""
    before = [place(key) for key in keys]
    shares = []
    for index in range(1, len(keys[0])):
        for bit in range(4):
            flipped = [key[:index] + chr(ord(key[index]) ^ 1 << bit) + key[index + 1 :] for key in keys]
            changes = [f"{b ^ place(key):0{width}b}" for b, key in zip(before, flipped, strict=True)]
            shares += [column.count("1") / len(keys) for column in zip(*changes, strict=True)]
    return shares


def ramp(salt: str) -> Callable[[str], float]:
    return lambda unit: position("ramp", salt, unit)


def sampling(salt: str) -> Callable[[str], float]:
    return lambda unit: position("sampling", salt, unit)


def crc(salt: str) -> Callable[[str], float]:
    return lambda unit: zlib.crc32((salt + unit).encode()) / 2**32


class TestGoldenVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda v: ascii(f"{v['purpose']}-{v['salt']:.12}-{v['unit']:.20}"))
    def test_holds(self, vector: dict[str, Any]) -> None:
        """Every golden vector gives its position, to the last bit."""
        purpose: Purpose = "ramp" if vector["purpose"] == "ramp" else "sampling"
        assert purpose == vector["purpose"]
        assert position(purpose, vector["salt"], vector["unit"]) == vector["position"]

    def test_covers_the_hard_cases(self) -> None:
        """At least 40 vectors, no two alike, with empty, long and four-byte strings and both purposes among them."""
        inputs = {(v["purpose"], v["salt"], v["unit"]) for v in VECTORS}
        strings = {text for _, *rest in inputs for text in rest}
        assert len(inputs) == len(VECTORS) >= 40
        assert len({v["position"] for v in VECTORS}) == len(VECTORS)
        assert {v["purpose"] for v in VECTORS} == {"ramp", "sampling"}
        assert "" in strings
        assert any(len(text) > 255 for text in strings)
        assert any(char > "\uffff" for text in strings for char in text)
        assert {("ramp", "a", "bc"), ("ramp", "ab", "c")} <= inputs


class TestPosition:
    @given(salt=texts, unit=texts)
    def test_is_as_documented(self, salt: str, unit: str) -> None:
        """The position is the top 53 bits of SHA-256 over the parts, each behind its length, as a share of 2^53."""
        parts = [part.encode() for part in ("sampling", salt, unit)]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        bits = f"{int(hashlib.sha256(message).hexdigest(), 16):0256b}"[:53]
        assert position("sampling", salt, unit) == int(bits, 2) / 2**53

    @pytest.mark.parametrize(("byte", "expected"), [(0x00, 0.0), (0xFF, 1 - 2**-53)])
    def test_never_reaches_one(self, byte: int, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
        """The least digest is at 0 and the greatest just below 1, so that weight 0 takes nobody and 1 everybody."""
        digest = SimpleNamespace(digest=lambda: bytes([byte]) * 32)
        monkeypatch.setattr(hashlib, "sha256", lambda _: digest)
        assert position("ramp", "salt", "unit") == expected
        assert not in_treatment("salt", "unit", 0.0)
        assert in_treatment("salt", "unit", 1.0)

    def test_is_the_same_in_another_process(self) -> None:
        """3,000 positions come out the same in a process that hashes strings with another seed."""
        program = (
            "import json, sys; from sluicegate.bucketing import position; "
            "print(json.dumps([position('ramp', 'salt', unit) for unit in json.load(sys.stdin)]))"
        )
        units = phones(3_000)
        environment = os.environ | {
            "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2",
            "PYTHONPATH": str(Path(bucketing.__file__).parents[1]),
        }
        answer = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(units),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(answer.stdout) == [position("ramp", "salt", unit) for unit in units]


class TestShares:
    @pytest.mark.parametrize("takes", [in_treatment, in_sample])
    def test_none_and_all(self, takes: Callable[[str, str, float], bool]) -> None:
        """A share of 0 takes nobody, a share of 1 takes everybody."""
        units = phones(1_000)
        assert not any(takes("salt", unit, 0.0) for unit in units)
        assert all(takes("salt", unit, 1.0) for unit in units)

    @given(salt=texts, unit=texts, one=weights, other=weights)
    def test_raising_the_weight_keeps_everybody_in(self, salt: str, unit: str, one: float, other: float) -> None:
        """Whoever is in at a weight is in at every higher one, in treatment and in the sample."""
        low, high = sorted((one, other))
        assert in_treatment(salt, unit, low) <= in_treatment(salt, unit, high)
        assert in_sample(salt, unit, low) <= in_sample(salt, unit, high)

    def test_ten_percent_within_twenty(self) -> None:
        """The 10 % set is about 10 % of all, and a proper subset of the 20 % set."""
        units = phones(20_000)
        ten = {unit for unit in units if in_treatment("salt", unit, 0.1)}
        twenty = {unit for unit in units if in_treatment("salt", unit, 0.2)}
        assert ten < twenty
        assert len(ten) == pytest.approx(2_000, abs=5 * math.sqrt(20_000 * 0.1 * 0.9))
        assert len(twenty) == pytest.approx(4_000, abs=5 * math.sqrt(20_000 * 0.2 * 0.8))


class TestUniformity:
    def test_even_over_phone_numbers(self) -> None:
        """100,000 phone-like keys spread evenly over 100 bins under each of 60 salts, not suspiciously well either."""
        keys = phones(100_000)
        p_values = [uniformity_p(ramp(f"experiment-{salt}"), keys) for salt in range(60)]
        assert all(1e-6 <= p <= 1 - 1e-6 for p in p_values)
        assert kolmogorov_smirnov_p(p_values) > 1e-4

    def test_salts_are_independent(self) -> None:
        """Where a unit falls under one salt says nothing of where it falls under another, however alike the salts."""
        assert independence_p(ramp("experiment-1"), ramp("experiment-2"), phones(100_000)) > 1e-6

    def test_purposes_are_independent(self) -> None:
        """Who is sampled is independent of who gets the treatment, under the same salt."""
        assert independence_p(ramp("experiment-1"), sampling("experiment-1"), phones(100_000)) > 1e-6

    def test_single_bits(self) -> None:
        """Each single-bit flip of a key flips each of the 53 output bits in half of the keys, ± 0.05."""
        keys = random.Random(1).sample(phones(1_000_000), 4_000)
        shares = flip_shares(lambda unit: int(position("ramp", "salt", unit) * 2**53), 53, keys)
        assert 0.45 <= min(shares) <= max(shares) <= 0.55


class TestTheseChecks:
    """A check that nothing fails shows nothing: CRC32 must fail them, and the formulas must agree with the tables."""

    def test_crc32_is_uneven(self) -> None:
        """CRC32 spreads phone-like keys in a way that no chance would."""
        p_values = [uniformity_p(crc(f"experiment-{salt}"), phones(10_000)) for salt in range(10)]
        assert any(not 1e-6 <= p <= 1 - 1e-6 for p in p_values)

    def test_crc32_salts_depend_on_each_other(self) -> None:
        """Under CRC32 the place of a unit under one salt gives away its place under another."""
        assert independence_p(crc("experiment-1"), crc("experiment-2"), phones(10_000)) < 1e-6

    def test_crc32_flips_bits_always_or_never(self) -> None:
        """CRC32 is linear: a flip of an input bit flips the same output bits whatever the key."""
        shares = flip_shares(lambda unit: zlib.crc32(unit.encode()), 32, phones(100))
        assert set(shares) == {0.0, 1.0}

    @pytest.mark.parametrize(("freedom", "critical"), [(1, 3.841459), (2, 5.991465), (81, 103.0095), (99, 123.2252)])
    def test_chi_square(self, freedom: int, critical: float) -> None:
        """The tabled 5 % points have p = 0.05."""
        counts, expected = [0], [critical]
        assert chi_square_p(counts, expected, freedom) == pytest.approx(0.05, rel=1e-4)

    def test_kolmogorov_smirnov(self) -> None:
        """An even grid is likely, a heap is not, and the asymptotic 5 % point 1.358 / √n has p = 0.05 for large n."""
        n = 10**6
        assert kolmogorov_smirnov_p([(i + 0.5) / 60 for i in range(60)]) > 0.999
        assert kolmogorov_smirnov_p([0.4 + i / 600 for i in range(60)]) < 1e-4
        assert kolmogorov_smirnov_p([max(0.0, i / n - 1.3581 / math.sqrt(n)) for i in range(n)]) == pytest.approx(
            0.05, rel=0.01
        )
