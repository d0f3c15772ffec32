"""What the metrics kernels wrote, as blocks of the points tables and `exemplars` (schema.py), without the tenant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sonde.ingest import points as p
from sonde.ingest.attributes import small_map_columns
from sonde.ingest.decoded import DecodedBlock
from sonde.ingest.regions import Regions
from sonde.storage.columns import Array, Block, Nullables


def points_blocks(found: Regions) -> Iterator[DecodedBlock]:
    """The blocks of those tables that have rows."""
    for table, region, columns in (
        ("points_number", p.NUMBERS, number_columns),
        ("points_histogram", p.HISTOGRAMS, histogram_columns),
        ("points_exponential_histogram", p.EXPONENTIAL_HISTOGRAMS, exponential_histogram_columns),
        ("points_summary", p.SUMMARIES, summary_columns),
        ("exemplars", p.EXEMPLARS, exemplar_columns),
    ):
        if found.rows(region):
            yield DecodedBlock(table, columns(found), found.rows(region))


def doubles(found: Regions, region: int, column: int) -> Array:
    return found.signed(region, column).view(np.float64)


def sent(found: Regions, region: int, column: int) -> Nullables:
    """An optional double: the column after it says whether it was sent."""
    return Nullables((found.signed(region, column + 1) == 0).view(np.uint8), doubles(found, region, column))


def head_columns(found: Regions, region: int) -> Block:
    """The columns every points table begins with."""
    return {
        "metric": found.interned(region, p.NAME),
        "series_id": found.unsigned(region, p.SERIES_ID),
        "time": found.signed(region, p.TIME),
        "time_source": found.narrow(region, p.TIME_SOURCE, "u1"),
        "start_time": found.signed(region, p.START_TIME),
    }


def flags_column(found: Regions, region: int) -> Block:
    """The column every points table ends with."""
    return {"flags": found.narrow(region, p.FLAGS, "u4")}


def value_columns(found: Regions, region: int) -> Block:
    return {
        "value": doubles(found, region, p.VALUE),
        "value_remainder": found.signed(region, p.VALUE_REMAINDER),
        "value_type": found.narrow(region, p.VALUE_TYPE, "u1"),
    }


def distribution_columns(found: Regions, region: int) -> Block:
    return {
        "count": found.unsigned(region, p.COUNT),
        "sum": sent(found, region, p.SUM),
        "min": sent(found, region, p.MIN),
        "max": sent(found, region, p.MAX),
    }


def number_columns(found: Regions) -> Block:
    return {
        **head_columns(found, p.NUMBERS),
        **value_columns(found, p.NUMBERS),
        **flags_column(found, p.NUMBERS),
    }


def histogram_columns(found: Regions) -> Block:
    region = p.HISTOGRAMS
    return {
        **head_columns(found, region),
        **distribution_columns(found, region),
        "bucket_counts": found.lists(region, p.BUCKET_COUNTS_END, found.unsigned(p.BUCKET_COUNTS, 0)),
        "explicit_bounds": found.lists(region, p.EXPLICIT_BOUNDS_END, doubles(found, p.EXPLICIT_BOUNDS, 0)),
        **flags_column(found, region),
    }


def exponential_histogram_columns(found: Regions) -> Block:
    region = p.EXPONENTIAL_HISTOGRAMS
    return {
        **head_columns(found, region),
        **distribution_columns(found, region),
        "scale": found.narrow(region, p.SCALE, "i4"),
        "zero_count": found.unsigned(region, p.ZERO_COUNT),
        "zero_threshold": doubles(found, region, p.ZERO_THRESHOLD),
        "positive_offset": found.narrow(region, p.POSITIVE_OFFSET, "i4"),
        "positive_bucket_counts": found.lists(region, p.POSITIVE_END, found.unsigned(p.POSITIVE_COUNTS, 0)),
        "negative_offset": found.narrow(region, p.NEGATIVE_OFFSET, "i4"),
        "negative_bucket_counts": found.lists(region, p.NEGATIVE_END, found.unsigned(p.NEGATIVE_COUNTS, 0)),
        **flags_column(found, region),
    }


def summary_columns(found: Regions) -> Block:
    region = p.SUMMARIES
    return {
        **head_columns(found, region),
        "count": found.unsigned(region, p.COUNT),
        "sum": doubles(found, region, p.SUM),
        "quantile_values.quantile": found.lists(region, p.QUANTILES_END, doubles(found, p.QUANTILES, 0)),
        "quantile_values.value": found.lists(region, p.QUANTILES_END, doubles(found, p.QUANTILES, 1)),
        **flags_column(found, region),
    }


def exemplar_columns(found: Regions) -> Block:
    region = p.EXEMPLARS
    return {
        "metric": found.interned(region, p.NAME),
        "series_id": found.unsigned(region, p.SERIES_ID),
        "point_time": found.signed(region, p.POINT_TIME),
        "start_time": found.signed(region, p.START_TIME),
        "time": found.signed(region, p.EXEMPLAR_TIME),
        **value_columns(found, region),
        "trace_id": found.octets(region, p.EXEMPLAR_TRACE_ID, 16),
        "span_id": found.octets(region, p.EXEMPLAR_SPAN_ID, 8),
        **small_map_columns("filtered_attributes", found, p.FILTERED, region, p.FILTERED_END),
    }
