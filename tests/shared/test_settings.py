import re
from pathlib import Path

import msgspec
import pytest

from shared.errors import InvalidSettings
from shared.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]
URLS = {"DATABASE_URL": "postgresql://db/bike", "REDIS_URL": "redis://cache"}


def test_two_urls_are_all_that_must_be_set() -> None:
    assert read_settings(URLS) == Settings(
        database_url="postgresql://db/bike", redis_url="redis://cache"
    )


def test_limits_default_to_what_the_readme_promises() -> None:
    settings = read_settings(URLS)
    assert settings.max_body_bytes == 5_242_880
    assert settings.max_batch_samples == 65_536
    assert settings.idle_timeout == 21_600
    assert settings.lease == 60


@pytest.mark.parametrize("key", URLS)
def test_a_missing_url_is_named(key: str) -> None:
    rest = {name: url for name, url in URLS.items() if name != key}
    with pytest.raises(InvalidSettings, match=f"^{key} is not set$"):
        read_settings(rest)


@pytest.mark.parametrize("key", URLS)
def test_an_empty_url_is_a_missing_one(key: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{key} is not set$"):
        read_settings({**URLS, key: ""})


def test_an_empty_value_counts_as_unset() -> None:
    assert read_settings({**URLS, "PORT": "", "LOG_LEVEL": ""}) == read_settings(URLS)


def test_values_are_converted_from_text() -> None:
    settings = read_settings({**URLS, "PORT": "0", "LEASE": "1.5", "LOG_LEVEL": "debug"})
    assert (settings.port, settings.lease, settings.log_level) == (0, 1.5, "debug")


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://tracker:hush@db/bike\n")
    environ = {"DATABASE_URL_FILE": str(secret), "REDIS_URL": "redis://cache"}
    assert read_settings(environ).database_url == "postgresql://tracker:hush@db/bike"
    with pytest.raises(InvalidSettings, match=r"^of DATABASE_URL and DATABASE_URL_FILE both"):
        read_settings({**environ, "DATABASE_URL": "postgresql://db/bike"})


def test_a_secret_s_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(
        InvalidSettings, match=r"^REDIS_URL_FILE='.*missing' cannot be read: No such"
    ):
        read_settings({"DATABASE_URL": "postgresql:///bike", "REDIS_URL_FILE": str(missing)})


def test_variables_that_are_not_settings_are_ignored() -> None:
    assert read_settings({**URLS, "PATH": "/bin", "port": "x"}) == read_settings(URLS)


NUMBERS = [
    field.name.upper()
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
]


@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_refuses_a_word_and_names_its_key(key: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^{key} must be a (whole )?number.*, not 'many'$"):
        read_settings({**URLS, key: "many"})


MAY_BE_ZERO = ("PORT", "LISTEN_FD", "METRICS_PORT", "BACKUP_HOURS")


@pytest.mark.parametrize("key", [key for key in NUMBERS if key not in MAY_BE_ZERO])
@pytest.mark.parametrize("text", ["0", "-1", "nan"])
def test_every_limit_and_time_must_be_positive(key: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^{key} must be a .*above 0, not '{text}'$"):
        read_settings({**URLS, key: text})


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "-1", "a whole number from 0 to 65535"),
        ("PORT", "80.5", "a whole number from 0 to 65535"),
        ("BACKUP_HOURS", "-1", "a number of at least 0"),
        ("BACKUP_HOURS", "nan", "a number of at least 0"),
        ("LOG_LEVEL", "loud", "one of debug, error, info, warning"),
        ("ALLOW_ANONYMOUS", "maybe", "true or false"),
        ("REDIS_MAXMEMORY", "much", "text such as 512mb or 1gb"),
    ],
)
def test_a_value_out_of_bounds_names_its_key_and_what_is_allowed(
    key: str, text: str, allowed: str
) -> None:
    with pytest.raises(InvalidSettings, match=f"^{key} must be {allowed}, not '{text}'$"):
        read_settings({**URLS, key: text})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tracker:a%2Fb%40c@one:5432,two:5433/bike?sslmode=verify-full",
        "postgresql://postgres@/bike?host=%2Ftmp%2Fbpt-1",
        "postgres:///bike",
        "postgresql://[::1]:5432/bike",
    ],
)
def test_a_url_that_postgresql_takes_is_taken(url: str) -> None:
    assert read_settings({**URLS, "DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "url", ["rediss://:a%2Fb@cache:6380/1", "redis://u:p@[::1]", "unix://u:p@/run/r.sock?db=2"]
)
def test_a_url_that_redis_takes_is_taken(url: str) -> None:
    assert read_settings({**URLS, "REDIS_URL": url}).redis_url == url


def test_a_list_is_split_at_commas() -> None:
    lists = {"CORS_ORIGINS": "https://a.example, http://localhost:3000,", "TRUSTED_PROXIES": "::1"}
    settings = read_settings({**URLS, **lists})
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.trusted_proxies == ("::1",)
    assert read_settings({**URLS, "CORS_ORIGINS": "*"}).cors_origins == ("*",)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://App.example.com"),
        ("CORS_ORIGINS", "https://app.example.com:443"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "null"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0"),
        ("TRUSTED_PROXIES", "proxy"),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(key: str, entry: str) -> None:
    right = "https://b.example" if key == "CORS_ORIGINS" else "192.0.2.1"
    with pytest.raises(InvalidSettings, match=f"^{key}: {re.escape(repr(entry))} "):
        read_settings({**URLS, key: f"{right},{entry}"})


def test_a_star_stands_alone() -> None:
    with pytest.raises(InvalidSettings, match="has other origins beside"):
        read_settings({**URLS, "CORS_ORIGINS": "*,https://a.example"})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read_settings(URLS).port = 1  # type: ignore[misc]


def test_the_example_lists_every_setting_with_its_default_and_nothing_else() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = [re.fullmatch(r"(# )?([A-Z_]+)=(.*)", line) for line in lines]
    listed = [match.groups() for match in found if match]
    names = [key for _, key, _ in listed]
    fields = msgspec.structs.fields(Settings)
    assert names == [field.name.upper() for field in fields]
    assert [bool(mark) for mark, _, _ in listed] == [not field.required for field in fields]
    values = {key: value for _, key, value in listed}
    assert (values["DATABASE_URL"], values["REDIS_URL"]) == ("", "")
    assert read_settings({**values, **URLS}) == read_settings(URLS)
    given = [
        field.name.upper()
        for field in fields
        if not field.required and field.default not in ((), "")
    ]
    assert all(values[key] for key in given)


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "https://bucket",
        "s3://",
        "s3://Bucket/x",
        "s3://key:hush@bucket/x",
        "s3://b?x=hush",
    ],
)
def test_a_store_of_originals_is_a_bucket_and_a_prefix_and_is_never_shown(url: str) -> None:
    with pytest.raises(InvalidSettings, match="s3://bucket/prefix") as caught:
        read_settings({**URLS, "ORIGINALS_URL": url})
    assert "hush" not in str(caught.value)
    assert read_settings({**URLS, "ORIGINALS_URL": "s3://rides/of/all"}).originals_url


@pytest.mark.parametrize("url", ["minio:9000", "s3://x", "https://key:hush@minio", "http://a/b?c"])
def test_an_endpoint_is_an_address_without_a_secret(url: str) -> None:
    with pytest.raises(InvalidSettings, match="https://host:port") as caught:
        read_settings({**URLS, "ORIGINALS_ENDPOINT": url})
    assert "hush" not in str(caught.value)
    for good in ("http://minio:9000", "https://s3.example.com", "http://[::1]:9000"):
        assert read_settings({**URLS, "ORIGINALS_ENDPOINT": good}).originals_endpoint == good


def test_half_a_key_of_the_store_is_none() -> None:
    for key in ("ORIGINALS_KEY_ID", "ORIGINALS_SECRET"):
        with pytest.raises(InvalidSettings, match="one alone") as caught:
            read_settings({**URLS, key: "hush"})
        assert "hush" not in str(caught.value)


PROVIDER = {"name": "google", "issuer": "https://accounts.google.com", "client_id": "id"}


def with_providers(*providers: object) -> dict[str, str]:
    return {**URLS, "OIDC_PROVIDERS": msgspec.json.encode(providers).decode()}


def test_a_provider_needs_a_name_an_issuer_and_what_it_calls_us() -> None:
    (provider,) = read_settings(with_providers(PROVIDER)).oidc_providers
    assert (provider.name, provider.issuer) == ("google", "https://accounts.google.com")
    assert (provider.scopes, provider.algorithms) == ("openid email profile", ("RS256",))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Google"},
        {"name": "goo/gle"},
        {"name": "google\n"},
        {"name": ""},
        {"issuer": "http://accounts.google.com"},
        {"issuer": "https://user@accounts.google.com"},
        {"issuer": "https://accounts.google.com?x=1"},
        {"issuer": "accounts.google.com"},
        {"issuer": "https://accounts.google.com:port"},
        {"client_id": ""},
        {"client_secret": ""},
        {"client_secret": 5},
        {"scopes": "email profile"},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"secret": "misspelt"},
    ],
)
def test_a_provider_that_is_wrong_stops_the_start_and_its_secret_stays_one(
    change: dict[str, object],
) -> None:
    provider = PROVIDER | {"client_secret": "hush"} | change
    with pytest.raises(InvalidSettings, match=r"^OIDC_PROVIDERS is wrong: ") as caught:
        read_settings(with_providers(provider))
    assert "hush" not in str(caught.value)


def test_providers_that_are_no_json_are_not_shown() -> None:
    with pytest.raises(InvalidSettings, match=r"^OIDC_PROVIDERS is wrong: ") as caught:
        read_settings({**URLS, "OIDC_PROVIDERS": "[{'client_secret': 'hush'}]"})
    assert "hush" not in str(caught.value)


def test_two_providers_of_one_name_stop_the_start() -> None:
    other = PROVIDER | {"issuer": "https://login.example.com"}
    with pytest.raises(InvalidSettings, match=r"^OIDC_PROVIDERS has two of one name$"):
        read_settings(with_providers(PROVIDER, other))


def test_the_secret_of_a_provider_is_not_in_what_is_printed_of_the_settings() -> None:
    assert "hush" not in repr(read_settings(with_providers(PROVIDER | {"client_secret": "hush"})))


@pytest.mark.parametrize(
    "url", ["http://power.example.com", "power.example.com", "https://", "https://a.example#b"]
)
def test_codes_are_sent_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^PUBLIC_URL must be an https address"):
        read_settings({**URLS, "PUBLIC_URL": url})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_this_machine_needs_no_https(host: str) -> None:
    assert read_settings({**URLS, "PUBLIC_URL": f"http://{host}"}).public_url == f"http://{host}"
