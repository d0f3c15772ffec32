"""Whose data a request carries, and which settings of that are refused at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sonde.ingest.addresses import Address, CannotListen, bind, join, parse_address
from sonde.ingest.auth import Authenticator, read_tokens
from sonde.ingest.config import IngestConfig
from sonde.ingest.errors import Unauthenticated

TOKENS = (("acme", "correct-horse"), ("other", "battery-staple"), ("acme", "second-secret"))

CASES: list[tuple[str, dict[str, Any], str, str, str | None]] = [
    # what, authenticator, Authorization, X-Sonde-Tenant, tenant
    ("open", {}, "", "", "default"),
    ("open, a token is no harm", {}, "Bearer whatever", "", "default"),
    ("open, tenant header", {}, "", "acme", None),
    ("open, even the default tenant's", {}, "", "default", None),
    ("proxy", {"trust_tenant_header": True}, "", "acme", "acme"),
    ("proxy, no header", {"trust_tenant_header": True}, "", "", "default"),
    ("proxy, no name", {"trust_tenant_header": True}, "", "../../etc", None),
    ("proxy, hidden file", {"trust_tenant_header": True}, "", ".hidden", None),
    ("proxy, too long", {"trust_tenant_header": True}, "", "a" * 65, None),
    ("proxy, line break", {"trust_tenant_header": True}, "", "a\n", None),
    ("token", {"tokens": TOKENS}, "Bearer correct-horse", "", "acme"),
    ("another token of the tenant", {"tokens": TOKENS}, "Bearer second-secret", "", "acme"),
    ("scheme in any case", {"tokens": TOKENS}, "BEARER battery-staple", "", "other"),
    ("header agrees", {"tokens": TOKENS}, "Bearer battery-staple", "other", "other"),
    ("header disagrees", {"tokens": TOKENS}, "Bearer battery-staple", "acme", None),
    ("no token", {"tokens": TOKENS}, "", "", None),
    ("no token, header", {"tokens": TOKENS}, "", "acme", None),
    ("unknown token", {"tokens": TOKENS}, "Bearer correct-hors", "", None),
    ("token and more", {"tokens": TOKENS}, "Bearer correct-horse x", "", None),
    ("basic", {"tokens": TOKENS}, "Basic correct-horse", "", None),
    ("bare", {"tokens": TOKENS}, "correct-horse", "", None),
    ("empty", {"tokens": TOKENS}, "Bearer  ", "", None),
    ("not ASCII", {"tokens": TOKENS}, "Bearer ÿþ", "", None),
]


@pytest.mark.parametrize(
    ("settings", "authorization", "header", "tenant"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_headers_say_whose_the_data_are(
    settings: dict[str, Any], authorization: str, header: str, tenant: str | None
) -> None:
    authenticator = Authenticator(**settings)
    if tenant is None:
        with pytest.raises(Unauthenticated) as refused:
            authenticator.tenant(authorization, header)
        assert "horse" not in str(refused.value)
    else:
        assert authenticator.tenant(authorization, header) == tenant


def test_tokens_come_from_settings_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may send\n\nother = battery-staple \nacme=with=equals\n")
    config = IngestConfig(tokens=("acme=correct-horse",), tokens_file=str(file))
    assert read_tokens(config) == [("acme", "correct-horse"), ("other", "battery-staple"), ("acme", "with=equals")]


@pytest.mark.parametrize(
    ("tokens", "file", "message"),
    [
        (("correct-horse",), None, "tokens, entry 1: write TENANT=SECRET"),
        (("acme=short",), None, "tokens, entry 1: the secret of acme is shorter than 8"),
        (("ac/me=correct-horse",), None, "entry 1: write TENANT=SECRET"),
        (("a=correct-horse", "b=correct-horse"), None, "a and b have the same secret"),
        ((), "", "holds no tokens"),
        ((), "x=correct-horse\nnonsense-secret\n", "line 2: write TENANT=SECRET"),
    ],
)
def test_a_token_that_cannot_be_used_is_named_but_not_shown(
    tokens: tuple[str, ...], file: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    if file is not None:
        path.write_text(file)
    with pytest.raises(ValueError, match=message) as refused:
        read_tokens(IngestConfig(tokens=tokens, tokens_file=str(path) if file is not None else ""))
    assert "horse" not in str(refused.value)
    assert "nonsense" not in str(refused.value)


def test_a_missing_file_of_tokens_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tokens_file .*nowhere can't be read"):
        read_tokens(IngestConfig(tokens_file=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"otlp_grpc": "0.0.0.0:4317"}, "otlp_grpc is 0.0.0.0:4317, which other machines can reach"),
        ({"otlp_http": "[::]:4318"}, "otlp_http is"),
        ({"otlp_http": "sonde.example.org:4318"}, "otlp_http is"),
        ({"otlp_grpc": "4317"}, "otlp_grpc must be host:port"),
        ({"otlp_grpc": "::1:4317"}, "otlp_grpc must be host:port"),
        ({"otlp_http": "localhost:99999"}, "otlp_http must be host:port"),
        (
            {"tokens": ("a=correct-horse",), "trust_tenant_header": True},
            "trust_tenant_header only works without tokens",
        ),
        ({"receivers": 0}, "receivers must be more than 0"),
        ({"max_in_flight_bytes": 1}, "max_in_flight_bytes must be at least max_request_bytes"),
        ({"max_depth": 33}, "max_depth must be 32 or less"),
        ({"max_future_seconds": -1}, "max_future_seconds must be 0 or more"),
        ({"cors_origins": ("shop.example.org",)}, "cors_origins takes origins such as"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        IngestConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"otlp_grpc": "0.0.0.0:4317", "tokens": ("acme=correct-horse",)},
        {"otlp_grpc": "0.0.0.0:4317", "open_to_network": True},
        {"otlp_grpc": "[::1]:4317", "otlp_http": "localhost:4318"},
        {"otlp_grpc": "127.0.0.2:0", "otlp_http": "off"},
    ],
)
def test_listening_is_allowed_on_loopback_or_knowingly(settings: dict[str, Any]) -> None:
    IngestConfig(**settings)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4317", Address("127.0.0.1", 4317)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_an_address_reads_as_it_is_written(text: str, address: Address) -> None:
    assert parse_address(text, "x") == address
    assert str(address) == text


def test_a_port_that_is_taken_is_said_so() -> None:
    with bind(Address("127.0.0.1", 0), "otlp_http") as sock:
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(CannotListen, match=f"can't listen on 127.0.0.1:{port}: .* set otlp_http to another"):
            bind(Address("127.0.0.1", port), "otlp_http", shared=True)


def test_a_shared_port_is_shared_among_those_who_join_only() -> None:
    with bind(Address("127.0.0.1", 0), "otlp_http", shared=True) as held:
        address = Address("127.0.0.1", held.getsockname()[1])
        with join(address, "otlp_http") as joined:
            joined.listen()
            with pytest.raises(CannotListen):
                bind(address, "otlp_http", shared=True)
