"""What the SDK goes by: variables over arguments over defaults, and mistakes met with a sentence."""

from __future__ import annotations

import pytest
from sonde.sdk.errors import SdkError
from sonde.sdk.settings import SIGNALS, Queue, Route, Settings, declared, read_settings


def urls(environ: dict[str, str], **arguments: object) -> dict[str, str]:
    settings = read_settings(environ, arguments)
    return {signal: settings.url(signal) for signal in SIGNALS}


def test_without_a_word_telemetry_goes_to_the_sonde_on_this_machine() -> None:
    assert urls({}) == {signal: f"http://127.0.0.1:4318/v1/{signal}" for signal in SIGNALS}
    assert read_settings({}).protocol("traces") == "http/protobuf"


@pytest.mark.parametrize(
    ("environ", "arguments", "traces", "protocol"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {}, "http://c:4318/v1/traces", "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp/"}, {}, "https://c/otlp/v1/traces", "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/as-is"}, {}, "http://c/as-is", "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {}, "http://127.0.0.1:4317", "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, {}, "http://c:4317", "grpc"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            {},
            "http://c:4317/v1/traces",
            "http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, {}, "http://127.0.0.1:4317", "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, {}, "http://c:4317", "grpc"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "false"},
            {},
            "https://c:4317",
            "grpc",
        ),
        ({}, {"endpoint": "http://mine:4318"}, "http://mine:4318/v1/traces", "http/protobuf"),
        ({}, {"protocol": "grpc", "endpoint": "http://mine:9"}, "http://mine:9", "grpc"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            {"endpoint": "http://mine:4318"},
            "http://c:4318/v1/traces",
            "http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, {}, "http://127.0.0.1:4318/v1/traces", "http/protobuf"),
    ],
)
def test_where_spans_go(environ: dict[str, str], arguments: dict[str, object], traces: str, protocol: str) -> None:
    settings = read_settings(environ, arguments)
    assert (settings.url("traces"), settings.protocol("traces")) == (traces, protocol)


def test_a_signal_may_go_elsewhere_than_the_others() -> None:
    found = urls(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs/in"}
    )
    assert found == {
        "traces": "http://all:4318/v1/traces",
        "metrics": "http://all:4318/v1/metrics",
        "logs": "http://logs/in",
    }


def test_a_variable_wins_over_an_argument() -> None:
    assert read_settings({"OTEL_SERVICE_NAME": "deployed"}, {"service": "written"}).service == "deployed"
    assert read_settings({}, {"service": "written"}).service == "written"


def test_attributes_of_both_are_kept_and_the_variable_wins() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "team=web,place=a%2Cb"}
    settings = read_settings(environ, {"attributes": {"team": "shop", "ring": 3}})
    assert settings.attributes == {"team": "web", "place": "a,b", "ring": "3"}


@pytest.mark.parametrize(("text", "seconds"), [("10000", 10.0), ("500", 0.5), ("100", 0.1), ("10", 10.0), ("30", 30.0)])
def test_a_timeout_is_in_milliseconds_unless_that_can_not_be(text: str, seconds: float) -> None:
    settings = read_settings({"OTEL_EXPORTER_OTLP_TIMEOUT": text})
    assert settings.routes["traces"].timeout_seconds == pytest.approx(seconds)


def test_queues_are_those_of_opentelemetry() -> None:
    environ = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "10",
        "OTEL_BSP_SCHEDULE_DELAY": "250",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "7",
    }
    settings = read_settings(environ)
    assert settings.spans_queue == Queue(records=10, delay_seconds=0.25)
    assert settings.logs_queue == Queue(batch=7)


@pytest.mark.parametrize(
    ("variable", "text", "goals"),
    [("OTEL_TRACES_EXPORTER", "none", ()), ("OTEL_TRACES_EXPORTER", "otlp, console", ("otlp", "console"))],
)
def test_exporters_are_named(variable: str, text: str, goals: tuple[str, ...]) -> None:
    assert read_settings({variable: text}).exporters("traces") == goals


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OTEL_SDK_DISABLED": "maybe"}, "OTEL_SDK_DISABLED: 'maybe' is not understood: write true or false"),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: 'zipkin' is not understood: write one of otlp, console, none",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "write one of http/protobuf, grpc"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "'collector:4318/v1/traces' is no URL to send OTLP to; write for example http://",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:port"}, "is no URL to send OTLP to"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "write a whole number above 0"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "often"}, "write a number"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "write a number of milliseconds above 0"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "staging"}, "write key=value,key2=value2"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "write one of always_on, always_off, traceidratio"),
        ({"OTEL_TRACES_SAMPLER_ARG": "1.5"}, "OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1"),
        ({"SONDE_SDK_TRACE": "shop.*,shop.cart:total"}, "'shop.cart:total' names no modules; write for example shop.*"),
        ({"SONDE_SDK_TRACE": "shop..cart"}, "'shop..cart' names no modules"),
        ({"SONDE_SDK_TRACE": "shop/cart.py"}, "'shop/cart.py' names no modules"),
        ({"SONDE_SDK_TRACE_MIN_DURATION": "-1"}, "write a number of milliseconds, or 0"),
        (
            {"SONDE_SDK_TRACE_BUDGET": "0"},
            "SONDE_SDK_TRACE_BUDGET must be a share above 0, up to 1, such as 0.01, not 0",
        ),
        (
            {"SONDE_SDK_TRACES": "shop.*"},
            "SONDE_SDK_TRACES, which is no setting of the SDK; those are SONDE_SDK_COMMAND_ARGS,",
        ),
    ],
)
def test_mistakes_are_met_with_a_sentence(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SdkError) as refused:
        urls(environ)
    assert says in str(refused.value)


def test_functions_are_traced_by_pattern_with_a_minimum_and_a_budget() -> None:
    settings = read_settings({"SONDE_SDK_TRACE": "shop.*, billing.tax", "SONDE_SDK_TRACE_MIN_DURATION": "0"})
    assert settings.trace == ("shop.*", "billing.tax")
    assert settings.trace_min_duration_seconds == 0
    assert read_settings({}, {"trace": ("shop",), "trace_budget": 0.5}).trace_budget == 0.5
    with pytest.raises(SdkError, match="names no modules"):
        read_settings({}, {"trace": ("shop.",)})


def test_a_header_that_is_not_understood_is_not_shown() -> None:
    with pytest.raises(SdkError) as refused:
        read_settings({"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_an_argument_that_is_no_setting_is_refused_by_name() -> None:
    with pytest.raises(SdkError, match="servic"):
        read_settings({}, {"servic": "shop"})


def test_every_setting_has_a_variable_of_its_own_and_a_text() -> None:
    fields = [field for config in (Settings, Route, Queue) for field in declared(config)]
    variables = [field.metadata["variable"] for field in fields]
    assert len(set(variables)) == len(variables)
    assert all(field.metadata["help"] for field in fields)
