"""The addresses to which browsers are sent back with a code for an app: which may be registered."""

import re
from typing import Final

MOST_REDIRECTS: Final = 10  # of an app
LONGEST_REDIRECT: Final = 500  # characters
_HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_REST: Final = r"([/?][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
_WEB: Final = re.compile(rf"https://{_HOST}{_REST}")
_LOOPBACK: Final = re.compile(rf"http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{{1,5}})?{_REST}")
# Of an app on a phone, after a domain of its own (RFC 8252, 7.1): com.example.app:/signed-in
_PRIVATE: Final = re.compile(rf"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:(//?)?[A-Za-z0-9._~-]*{_REST}")


def redirect_fault(uri: str) -> str | None:
    """What is wrong with an address that an app would register; None if nothing is."""
    if len(uri) > LONGEST_REDIRECT:
        return f"is longer than {LONGEST_REDIRECT} characters"
    if any(each.fullmatch(uri) for each in (_WEB, _LOOPBACK, _PRIVATE)):
        return None
    return (
        "is none of https://…, http://127.0.0.1/… (of an app on the same machine) and"
        " com.example.app:/… (of an app on a phone), without a fragment"
    )


def is_registered(uri: str, registered: list[str]) -> bool:
    """Whether an app is to be answered at an address: one of its own, to the letter.

    On the machine of the browser the port may differ: an app there takes one that is free.
    """
    asked = _without_port(uri)
    return uri in registered or (asked is not None and asked in map(_without_port, registered))


def host_of(uri: str) -> str:
    """Where an address leads, as people read it."""
    if _LOOPBACK.fullmatch(uri):
        return "an app on this device"
    scheme, _, rest = uri.partition(":")
    if scheme != "https":
        return f"the app {scheme} on this device"
    return re.split("[/?]", rest.removeprefix("//"), maxsplit=1)[0]


def source_of(uri: str) -> str:
    """The address as a source of a Content-Security-Policy: no more than its origin."""
    scheme, _, rest = uri.partition(":")
    if scheme not in ("http", "https") or rest.startswith("//["):  # which no policy can name
        return f"{scheme}:"
    return f"{scheme}://{re.split('[/?]', rest.removeprefix('//'), maxsplit=1)[0]}"


def _without_port(uri: str) -> tuple[str, str] | None:
    """Host and path of an address on the machine of the browser."""
    found = _LOOPBACK.fullmatch(uri)
    return (found[1], found[3] or "") if found else None
