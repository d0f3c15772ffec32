"""OTLP requests written straight from the OpenTelemetry SDK's objects, without protobuf classes in between."""
