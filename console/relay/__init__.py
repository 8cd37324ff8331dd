"""Spans from their topic to any OpenTelemetry back end, as OTLP over HTTP: `novix relay`."""
