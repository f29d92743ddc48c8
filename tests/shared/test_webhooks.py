"""What API and workers agree on about webhooks."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.webhooks import check_url, is_private, make_secret, sign

BODY = b'{"type":"workout.deleted","data":{}}'


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _headers(signature: str, now: int) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }


def test_the_reference_library_verifies_what_is_signed() -> None:
    """So do the libraries of every language that follows it."""
    secret, other, now = make_secret(), make_secret(), _now()
    both = f"{sign(other, 'msg_1', now, BODY)} {sign(secret, 'msg_1', now, BODY)}"
    assert Webhook(secret).verify(BODY, _headers(sign(secret, "msg_1", now, BODY), now))
    assert Webhook(secret).verify(BODY, _headers(both, now))
    assert Webhook(other).verify(BODY, _headers(both, now))


def test_another_body_id_or_moment_is_not_verified() -> None:
    """The signature covers all three."""
    secret, now = make_secret(), _now()
    for message_id, timestamp, body in (
        ("msg_2", now, BODY),
        ("msg_1", now - 1, BODY),
        ("msg_1", now, BODY + b" "),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(BODY, _headers(sign(secret, message_id, timestamp, body), now))


def test_a_secret_is_as_long_as_the_standard_asks_for() -> None:
    """24 to 64 bytes, and never the same twice."""
    secret = make_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    assert secret != make_secret()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1"),
        *("100.64.0.1", "169.254.169.254", "192.0.0.170", "192.0.2.1", "192.88.99.1"),
        *("198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1"),
        *("ff0e::1", "2001:db8::1", "100::1"),
        # IPv4 addresses within others: mapped, compatible, translated, 6to4, Teredo.
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_addresses_of_no_public_network_are_private(address: str) -> None:
    """Whichever way they are written."""
    assert is_private(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_addresses_of_the_public_internet_are_not_private(address: str) -> None:
    """Nor those that stand for them."""
    assert not is_private(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/hooks?for=me",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/x",
        "https://xn--mnchen-3ya.example/",
        "https://example.com/" + "a" * 2028,
    ],
)
def test_a_public_https_address_is_taken(url: str) -> None:
    """With a port and a query, too."""
    check_url(url, allow_private=False)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("example.com", "must begin with https://"),
        ("https://", "of the form"),
        ("https://example.com:0/", "of the form"),
        ("https://example.com:99999/", "of the form"),
        ("https://[::1/", "of the form"),
        ("https://user@example.com/", "no user name or password"),
        ("https://example.com/#top", "no fragment"),
        ("https://exa mple.com/", "ASCII"),
        ("https://example.com/\r\nHost: x", "ASCII"),
        ("https://example.com\\@localhost/", "ASCII"),
        ("https://münchen.example/", "ASCII"),
        ("https://example.com/" + "a" * 2029, "at most 2048"),
        ("https://127.0.0.1/", "public internet"),
        ("https://[::ffff:10.0.0.1]/", "public internet"),
        ("https://127.1/", "public internet"),
        ("https://0x7f000001/", "public internet"),
        ("https://2130706433/", "public internet"),
        ("https://localhost/", "public internet"),
        ("https://api.localhost./", "public internet"),
        ("https://metadata.google.internal/", "public internet"),
    ],
)
def test_any_other_address_is_refused_with_what_is_wrong(url: str, wrong: str) -> None:
    """Before anything is ever sent there."""
    with pytest.raises(ValueError, match=wrong):
        check_url(url, allow_private=False)


def test_where_private_addresses_are_allowed_so_is_http() -> None:
    """Certificates for them are rare."""
    check_url("http://127.0.0.1:8080/hook", allow_private=True)
    check_url("http://receiver.internal/", allow_private=True)
    with pytest.raises(ValueError, match="user name"):
        check_url("http://user:pass@127.0.0.1/", allow_private=True)
