"""Settings: one declaration, read from flags, environment and file; wrong ones stop the start with advice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sonde.cli.api import local_api, local_receiver
from sonde.cli.errors import UsageError
from sonde.cli.parser import CommandParser
from sonde.cli.reference import pages
from sonde.cli.settings import CONFIGS, add_flags, all_settings, load
from sonde.ingest.config import IngestConfig
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig

TOP = Path(__file__).parent.parent.parent


def parse(*argv: str, environ: dict[str, str] | None = None) -> IngestConfig:
    parser = CommandParser("sonde test", "")
    add_flags(parser, *CONFIGS)
    return load(parser.parse_command(list(argv)), environ or {}).build(IngestConfig)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_settings_the_defaults_hold() -> None:
    assert parse() == IngestConfig()


@pytest.mark.parametrize(
    ("file", "variable", "flag", "wins"),
    [
        (None, None, None, 4096),
        ("1", None, None, 1),
        ("1", "2", None, 2),
        ("1", "2", "3", 3),
        ("1", None, "3", 3),
        (None, "2", "3", 3),
    ],
)
def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(
    file: str | None, variable: str | None, flag: str | None, wins: int
) -> None:
    if file:
        Path("sonde.toml").write_text(f"max_events = {file}\n")
    environ = {"SONDE_MAX_EVENTS": variable} if variable else {}
    assert parse(*(["--max-events", flag] if flag else []), environ=environ).max_events == wins


@pytest.mark.parametrize(
    ("toml", "name", "value"),
    [
        ('max_request_bytes = "1MiB"', "max_request_bytes", 1 << 20),
        ("max_request_bytes = 1048576", "max_request_bytes", 1 << 20),
        ('segment_age_seconds = "50ms"', "segment_age_seconds", 0.05),
        ("segment_age_seconds = 1", "segment_age_seconds", 1.0),
        ('tokens = ["a=1", "b=2"]', "tokens", ("a=1", "b=2")),
        ('tokens = "a=1, b=2"', "tokens", ("a=1", "b=2")),
        ("open_to_network = true", "open_to_network", True),
        ('open_to_network = "yes"', "open_to_network", True),
        ('otlp_grpc = "off"', "otlp_grpc", "off"),
    ],
)
def test_the_file_takes_toml_values_or_text(toml: str, name: str, value: object) -> None:
    Path("sonde.toml").write_text(toml)
    assert getattr(parse(), name) == value


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--tokens", "a=1,b=2"], "tokens", ("a=1", "b=2")),
        (["--tokens", "a=1", "--tokens", "b=2"], "tokens", ("a=1", "b=2")),
        (["--open-to-network"], "open_to_network", True),
        (["--no-open-to-network"], "open_to_network", False),
        (["--segment-age-seconds=1m"], "segment_age_seconds", 60.0),
    ],
)
def test_flags_take_lists_and_switches(argv: list[str], name: str, value: object) -> None:
    assert getattr(parse(*argv), name) == value


def test_the_file_may_be_named_by_flag_or_variable(tmp_path: Path) -> None:
    named = tmp_path / "other.toml"
    named.write_text("max_links = 7")
    assert parse("--config", str(named)).max_links == 7
    assert parse(environ={"SONDE_CONFIG": str(named)}).max_links == 7


@pytest.mark.parametrize(
    ("argv", "environ", "toml", "says"),
    [
        (["--otlp-grcp", "x"], {}, "", "did you mean --otlp-grpc"),
        (["--segment-by", "1"], {}, "", "did you mean --segment-bytes"),
        (["--segment-bytes", "64M"], {}, "", "--segment-bytes: '64M' is not understood: write a size such as 64MiB"),
        (["--max-events", "1.5"], {}, "", "--max-events: '1.5' is not understood: write a whole number"),
        (["--config", "none.toml"], {}, "", "--config names none.toml, which is not a file"),
        ([], {"SONDE_CONFIG": "none.toml"}, "", "SONDE_CONFIG names none.toml"),
        ([], {"SONDE_OTLP_GRCP": "x"}, "", "did you mean SONDE_OTLP_GRPC"),
        (
            [],
            {"SONDE_OPEN_TO_NETWORK": "perhaps"},
            "",
            "SONDE_OPEN_TO_NETWORK: 'perhaps' is not understood: write true",
        ),
        ([], {"SONDE_MAX_EVENTS": ""}, "", "SONDE_MAX_EVENTS: '' is not understood: write a plain number"),
        ([], {}, "otlp_gprc = 1", "sonde.toml: no setting is called otlp_gprc; did you mean otlp_grpc?"),
        ([], {}, "[ingest]\nspool = 'x'", "sonde.toml: [ingest] is a table"),
        ([], {}, "spool = ", "sonde.toml can't be read as TOML"),
        ([], {}, "spool = 1", "sonde.toml: spool: 1 is not understood: write text in quotes"),
        ([], {}, "max_events = true", "max_events: True is not understood: write a number"),
        ([], {}, "open_to_network = 1", "open_to_network: 1 is not understood: write true or false"),
        ([], {}, "tokens = [1]", "tokens: its value is not understood: write a list such as"),
        ([], {}, "receivers = 0", "receivers must be more than 0, not 0 (set by sonde.toml)"),
        (
            [],
            {"SONDE_RECEIVERS": "0"},
            "receivers = 1",
            "receivers must be more than 0, not 0 (set by SONDE_RECEIVERS)",
        ),
        (["--otlp-http", "0.0.0.0:4318"], {}, "", "open_to_network to let anybody who can connect send"),
    ],
)
def test_what_is_unknown_or_malformed_is_answered_with_what_to_write(
    argv: list[str], environ: dict[str, str], toml: str, says: str
) -> None:
    if toml:
        Path("sonde.toml").write_text(toml)
    with pytest.raises(UsageError) as error:
        parse(*argv, environ=environ)
    assert says in str(error.value)


def test_a_secret_is_not_repeated_in_errors() -> None:
    Path("sonde.toml").write_text("tokens = { shop = 'hunter2' }")
    with pytest.raises(UsageError) as error:
        parse()
    assert "hunter2" not in str(error.value)


def test_variables_of_the_test_suite_and_of_others_are_left_alone() -> None:
    parse(environ={"SONDE_TEST_CLICKHOUSE_URL": "http://x", "PATH": "/bin", "SONDERBAR": "1"})


def test_every_setting_has_one_name_in_all_rooms_and_a_help_text() -> None:
    settings = list(all_settings())
    assert not [name for name, count in Counter(item.name for item in settings).items() if count > 1]
    assert all(len(item.help) > 10 for item in settings)


@pytest.mark.parametrize("item", list(all_settings()), ids=lambda item: item.name)
def test_every_default_is_shown_as_text_that_reads_back_the_same(item: object) -> None:
    from sonde.cli.settings import Setting

    assert isinstance(item, Setting)
    if not item.secret and item.default is not None:
        assert item.read(item.show(item.default)) == item.default


def test_the_defaults_of_every_room_are_valid() -> None:
    StorageConfig(), IngestConfig(), QueryConfig()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"store": "data/store"}, "store must be chdb:///folder"),
        ({"cluster": "main"}, "cluster needs a ClickHouse server"),
        ({"database": "a b"}, "letters, digits and underscores"),
        ({"retention_logs_days": -1}, "retention_logs_days must be 0"),
    ],
)
def test_the_store_settings_refuse_what_can_not_be(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StorageConfig(**values)  # type: ignore[arg-type]


def test_the_configuration_page_is_what_the_settings_say() -> None:
    page = (TOP / "docs" / "configuration.md").read_text()
    assert page == "".join(pages()), "docs/configuration.md is out of date: run `make docs`"


def test_commands_find_the_sonde_that_the_settings_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_receiver("grpc") == "http://127.0.0.1:4317"
    assert local_receiver("http") == "http://127.0.0.1:4318"
    Path("sonde.toml").write_text('otlp_http = "[::1]:5318"\notlp_grpc = "off"')
    monkeypatch.setenv("SONDE_QUERY", "0.0.0.0:9000")
    assert local_receiver("http") == "http://[::1]:5318"
    assert local_api().url == "http://127.0.0.1:9000"
    with pytest.raises(UsageError, match="otlp_grpc is off"):
        local_receiver("grpc")
