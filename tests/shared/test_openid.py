import pytest

from shared.openid import is_as_secure

HERE, THERE = "http://127.0.0.1:8080", "https://accounts.example.com"


@pytest.mark.parametrize(
    ("url", "issuer", "good"),
    [
        ("https://tokens.example.com/token?x=1", THERE, True),
        ("http://tokens.example.com/token", THERE, False),
        ("http://127.0.0.1/token", THERE, False),  # it must not reach into this machine
        ("http://localhost:8080/token", HERE, True),
        ("https://tokens.example.com/token", HERE, True),
        ("http://tokens.example.com/token", HERE, False),
        ("file:///etc/passwd", HERE, False),
        ("/token", HERE, False),
        ("https://", HERE, False),
    ],
)
def test_a_provider_s_addresses_are_no_less_secure_than_its_issuer(
    url: str, issuer: str, good: bool
) -> None:
    assert is_as_secure(url, issuer) == good
