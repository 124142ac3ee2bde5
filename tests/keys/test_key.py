"""One key: its text, its hash, its life and what it permits."""

import re
import secrets
from dataclasses import FrozenInstanceError, replace

import pytest

from ltp_service.keys.key import ApiKey, Permission, hash_of, is_well_formed, make_text, prefix_of

TEXT = "ltp_" + "Ab3_-dE7" + "x" * 35
KEY = ApiKey("Ab3_-dE7", "f" * 64, "ops", "write", 100.0, 200.0)


def test_a_new_key_is_256_bits_of_the_given_generator_in_43_characters() -> None:
    asked = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\xfb" * size

    text = make_text(random_bytes)
    assert asked == [32]
    assert text == "ltp_" + "-_v7" * 10 + "-_s"


def test_no_two_keys_of_the_systems_generator_are_alike_and_all_are_well_formed() -> None:
    texts = {make_text(secrets.token_bytes) for _ in range(1000)}
    assert len(texts) == 1000
    assert all(is_well_formed(text) for text in texts)


def test_anything_else_is_malformed() -> None:
    assert is_well_formed(TEXT)
    for text in [
        *("", "ltp_", TEXT + "x", TEXT + "\n", " " + TEXT, TEXT.removeprefix("ltp_"), "LTP_" + TEXT[4:]),
        *(TEXT[:-1] + end for end in ("", "=", "+", "é", "\N{ARABIC-INDIC DIGIT ONE}", "\udcff", "\0")),
    ]:
        assert not is_well_formed(text)


def test_the_hash_is_sha_256_of_the_whole_text() -> None:
    assert hash_of("ltp_" + "A" * 43) == "b01645a46a122362464bbe984c44f041e058ccc50640a30a622414b7856cba17"


def test_the_prefix_is_the_8_characters_after_the_mark() -> None:
    assert prefix_of(TEXT) == "Ab3_-dE7"


def test_a_printed_key_shows_neither_hash_nor_text() -> None:
    text = make_text(secrets.token_bytes)
    printed = repr(replace(KEY, prefix=prefix_of(text), hash=hash_of(text)))
    assert hash_of(text) not in printed
    assert not re.search(re.escape(text[12:]), printed)
    assert prefix_of(text) in printed


def test_a_key_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        KEY.permission = "admin"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "now", "state"),
    [
        (KEY, 199.9, "active"),
        (KEY, 200.0, "expired"),
        (replace(KEY, expires=None), 1e12, "active"),
        (replace(KEY, revoked=150.0), 199.0, "revoked"),
        (replace(KEY, revoked=150.0), 300.0, "revoked"),
    ],
)
def test_a_key_is_good_until_it_expires_or_is_revoked(key: ApiKey, now: float, state: str) -> None:
    assert key.state(now) == state


@pytest.mark.parametrize(
    ("holds", "includes"), [("read", "read"), ("write", "read write"), ("admin", "read write admin")]
)
def test_a_higher_permission_includes_the_lower(holds: Permission, includes: str) -> None:
    key = replace(KEY, permission=holds)
    every: tuple[Permission, ...] = ("read", "write", "admin")
    assert [permission for permission in every if key.permits(permission)] == includes.split()
