import hashlib

import pytest

from shared.credentials import hash_key, key_id_of, make_key


def test_a_key_has_256_random_bits_after_its_id() -> None:
    key = make_key()
    prefix, key_id, secret = key.text.split("_")
    assert (prefix, key_id) == ("bpt", key.id)
    assert len(bytes.fromhex(secret)) == 32


def test_no_two_keys_are_alike() -> None:
    keys = [make_key() for _ in range(100)]
    assert len({key.id for key in keys}) == len({key.text[20:] for key in keys}) == 100


def test_only_the_hash_of_the_whole_text_is_kept() -> None:
    key = make_key()
    assert key.hash == hash_key(key.text) == hashlib.sha256(key.text.encode()).digest()


def test_a_key_names_its_id() -> None:
    key = make_key()
    assert key_id_of(key.text) == key.id


ID, SECRET = "0123456789abcdef", "f" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bpt",
        f"bpt_{ID}",
        f"bpt_{ID}_",
        f"bpt_{ID}_{SECRET[1:]}",
        f"bpt_{ID}_{SECRET}f",
        f"bpt_{ID}_{SECRET}\n",
        f" bpt_{ID}_{SECRET}",
        f"BPT_{ID}_{SECRET}",
        f"bpt_{ID}_{SECRET.upper()}",
        f"bpt_{ID[1:]}_{SECRET}",
        f"bpt_{ID[1:]}٣_{SECRET}",
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert key_id_of(f"bpt_{ID}_{SECRET}") == ID
    assert key_id_of(text) is None
