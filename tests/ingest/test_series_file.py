"""Which series are too many: the table, shared by processes, against a dict; what a crash or a full disk leaves behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sonde.ingest import series_file
from sonde.ingest import series_table as table
from sonde.ingest.series_file import SeriesBounds, SeriesFiles, TenantSeries, map_table
from sonde.ingest.series_table import OVER_METRIC, OVER_TENANT
from sonde.ingest.tally import NO_REASON
from sonde.ingest.twin_series import SlowSeries

NOW = 1_767_225_600
HOUR = 3_600
A, B = 11, 12
"""Metrics."""


def points_of(*series: tuple[int, int]) -> np.ndarray:
    return np.array(series, np.uint64).reshape(-1, 2)


def of(metric: int, *series: int) -> np.ndarray:
    return points_of(*((1000 * metric + each, metric) for each in series))


def judge(series: TenantSeries, points: np.ndarray, bounds: SeriesBounds, now: int = NOW) -> list[int]:
    over = series.judge(points, np.full(len(points), NO_REASON, np.uint8), now, bounds)
    return [0] * len(points) if over is None else over.tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "series" / "acme.series"


# (name, bounds of tenant and metric, what comes, what is over)
LIMITS = [
    ("no limit", (0, 0), [of(A, *range(600))], [[0] * 600]),
    ("of the metric", (0, 2), [of(A, 1, 2, 3)], [[0, 0, OVER_METRIC]]),
    ("of the tenant", (2, 0), [of(A, 1, 2, 3)], [[0, 0, OVER_TENANT]]),
    ("each metric has its own", (0, 2), [of(A, 1, 2, 3), of(B, 1, 2, 3)], [[0, 0, OVER_METRIC]] * 2),
    ("the tenant's holds over all", (3, 2), [of(A, 1, 2), of(B, 1, 2)], [[0, 0], [0, OVER_TENANT]]),
    ("the metric's is told first", (2, 2), [of(A, 1, 2, 3)], [[0, 0, OVER_METRIC]]),
    (
        "what is there passes",
        (0, 2),
        [of(A, 1, 2), of(A, 3, 2, 1, 1, 3)],
        [[0, 0], [OVER_METRIC, 0, 0, 0, OVER_METRIC]],
    ),
    ("a series twice is one", (0, 1), [of(A, 1, 1, 2)], [[0, 0, OVER_METRIC]]),
    ("no points", (1, 1), [of(A), of(A, 1)], [[], [0]]),
]


@pytest.mark.parametrize(("limits", "sent", "over"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_limits(path: Path, limits: tuple[int, int], sent: list[np.ndarray], over: list[list[int]]) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(*limits, HOUR)
    assert [judge(series, points, bounds) for points in sent] == over


def test_points_that_are_refused_anyway_are_no_series(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 1, HOUR)
    verdicts = np.array([3, NO_REASON, 3], np.uint8)
    assert series.judge(of(A, 1, 2, 3), verdicts, NOW, bounds) is None
    assert judge(series, of(A, 2, 1), bounds) == [0, OVER_METRIC]


def test_a_series_not_seen_for_the_window_makes_room(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 2, HOUR)
    assert judge(series, of(A, 1, 2, 3), bounds) == [0, 0, OVER_METRIC]
    assert judge(series, of(A, 2), bounds, NOW + HOUR // 2) == [0]
    assert judge(series, of(A, 3), bounds, NOW + HOUR) == [OVER_METRIC]
    later = NOW + HOUR + HOUR // table.STEPS + 1
    assert judge(series, of(A, 3, 4, 2), bounds, later) == [0, OVER_METRIC, 0]
    assert judge(series, of(A, 5, 6), bounds, later + 2 * HOUR) == [0, 0]


def test_a_series_that_goes_on_is_never_new_again(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 1, HOUR)
    for minutes in range(0, 600, 10):
        assert judge(series, of(A, 1, 2), bounds, NOW + 60 * minutes) == [0, OVER_METRIC]


def test_a_clock_that_was_wrong_harms_for_no_longer_than_the_window(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 1, HOUR)
    assert judge(series, of(A, 1), bounds, NOW + 10**8) == [0]
    assert judge(series, of(A, 2, 1), bounds, NOW) == [0, OVER_METRIC]


def test_the_order_in_which_a_table_grows_changes_nothing(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 40_000, HOUR)
    for first in range(0, 50_000, 5_000):
        expected = [0 if first < 40_000 else OVER_METRIC] * 5_000
        assert judge(series, of(A, *range(first, first + 5_000)), bounds) == expected
    assert judge(series, of(A, *range(40_000)), bounds) == [0] * 40_000


def test_many_metrics_have_room_too(path: Path) -> None:
    series, bounds = TenantSeries(path), SeriesBounds(0, 1, HOUR)
    many = points_of(*((each + 10**6, each + 1) for each in range(20_000)))
    assert judge(series, many, bounds) == [0] * 20_000
    assert judge(series, points_of((5, 77), (6, 20_000)), bounds) == [OVER_METRIC] * 2


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 100, 300]), st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3)), max_size=20)
    ),
    max_size=12,
)


@given(limits=st.tuples(st.integers(0, 6), st.integers(0, 3)), sent=steps)
@settings(max_examples=200)
def test_what_passes_is_what_a_dict_lets_pass(limits, sent):
    """With times so far apart that it makes no difference that a note may be a part of the window old."""
    series, slow, now = TenantSeries(None), SlowSeries(*limits, 160), NOW
    series._table.words[table.SWEPT] = NOW
    for pause, found in sent:
        now += pause if pause >= 100 else 0
        points = points_of(*((10 * number + metric, metric) for number, metric in found))
        bounds = SeriesBounds(*limits, 160)
        assert judge(series, points, bounds, now) == slow.judge([tuple(row) for row in points.tolist()], now)


def test_two_holders_of_a_file_count_together(path: Path) -> None:
    one, other, bounds = TenantSeries(path), TenantSeries(path), SeriesBounds(0, 3, HOUR)
    assert judge(one, of(A, 1, 2), bounds) == [0, 0]
    assert judge(other, of(A, 3, 4), bounds) == [0, OVER_METRIC]
    assert judge(one, of(A, 4, 3), bounds) == [OVER_METRIC, 0]


def test_a_table_that_one_holder_replaced_is_found_by_the_other(path: Path) -> None:
    one, other, bounds = TenantSeries(path), TenantSeries(path), SeriesBounds(0, 3_000, HOUR)
    assert judge(one, of(A, 1), bounds) == [0]
    assert judge(one, of(A, *range(2_999)), bounds) == [0] * 2_999
    assert judge(other, of(A, 3_000, 3_001, 5), bounds) == [0, OVER_METRIC, 0]
    assert judge(one, of(A, 3_000, 3_002), bounds) == [0, OVER_METRIC]
    assert sorted(each.name for each in path.parent.iterdir()) == ["acme.series", "lock"]


def test_what_was_seen_is_known_after_a_restart(path: Path) -> None:
    bounds = SeriesBounds(0, 2, HOUR)
    assert judge(TenantSeries(path), of(A, 1, 2), bounds) == [0, 0]
    assert judge(TenantSeries(path), of(A, 3, 1, 2), bounds) == [OVER_METRIC, 0, 0]


def test_threads_and_processes_admit_no_more_than_the_limit(path: Path) -> None:
    """Four of each put in the same 2 000 series and some of their own, in any order, while the table grows."""
    bounds = SeriesBounds(0, 2_000, HOUR)
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_series_file import flood
        print(flood(Path({str(path)!r}), int(sys.argv[1])))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    children = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE) for seed in range(4)]
    threads = [threading.Thread(target=flood, args=(path, seed)) for seed in range(4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for child in children:
        said, _ = child.communicate(timeout=300)
        assert (child.returncode, said) == (0, b"done\n")
    found = map_table(path)
    assert found is not None
    keys = found.words[table.HEADER : table.HEADER + 2 * found.slots : 2]
    assert np.count_nonzero(keys) == len(np.unique(keys[keys != 0])) == 2_000
    assert judge(TenantSeries(path), of(A, 10**7), bounds) == [OVER_METRIC]


def flood(path: Path, seed: int) -> str:
    series, rng = TenantSeries(path), np.random.default_rng(seed)
    for _ in range(60):
        judge(series, of(A, *rng.integers(0, 3_000, 100).tolist()), SeriesBounds(0, 2_000, HOUR))
    return "done"


@pytest.mark.parametrize(
    "content", [b"", b"x" * 64, b"\xff" * 4_096, bytes(1 << 14)], ids=["empty", "x", "ones", "zeros"]
)
def test_a_file_that_is_no_table_is_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    bounds = SeriesBounds(0, 1, HOUR)
    assert judge(TenantSeries(path), of(A, 1, 2), bounds) == [0, OVER_METRIC]
    assert judge(TenantSeries(path), of(A, 2), bounds) == [OVER_METRIC]


@pytest.mark.parametrize("seed", range(5))
def test_no_content_of_a_table_leads_astray(path: Path, seed: int) -> None:
    """After a power cut any page may be old, or empty; after the next sweep all is right."""
    series, rng, bounds = TenantSeries(path), np.random.default_rng(seed), SeriesBounds(0, 300, HOUR)
    judge(series, of(A, *range(300)), bounds)
    words = series._table.words
    damaged = rng.integers(table.USED, len(words), len(words) // 2)
    words[damaged] = rng.integers(0, 2**64, len(damaged), np.uint64)
    for first in range(0, 6_000, 300):
        judge(series, of(A, *range(first, first + 300)), bounds, NOW + first)
    later = NOW + 6_000 + 2 * HOUR
    assert judge(series, of(A, *range(301)), bounds, later) == [0] * 300 + [OVER_METRIC]


def test_who_died_while_replacing_a_table_blocks_nobody(path: Path) -> None:
    one, other, bounds = TenantSeries(path), TenantSeries(path), SeriesBounds(0, 1, HOUR)
    one._table.words[table.REPLACED] = 1
    assert judge(other, of(A, 1), bounds) == [0]
    assert judge(one, of(A, 2), bounds) == [OVER_METRIC]


def test_a_folder_that_somebody_removed_harms_nobody(path: Path) -> None:
    one, bounds = TenantSeries(path), SeriesBounds(0, 2_000, HOUR)
    assert judge(one, of(A, 1), bounds) == [0]
    shutil.rmtree(path.parent)
    assert judge(one, of(A, *range(2_001)), bounds) == [0] * 2_000 + [OVER_METRIC]
    assert judge(TenantSeries(path), of(A, 3_000), bounds) == [0]


def test_without_room_on_the_disk_each_counts_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = SeriesBounds(0, 2_000, HOUR)
    shared = TenantSeries(path)
    assert judge(shared, of(A, 1), bounds) == [0]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(series_file.os, "posix_fallocate", full)
    assert judge(shared, of(A, *range(2_001)), bounds) == [0] * 2_000 + [
        OVER_METRIC
    ]  # it knew series 1, and took it along
    other = TenantSeries(path.with_name("other.series"))
    assert judge(other, of(A, *range(2_001)), bounds) == [0] * 2_000 + [OVER_METRIC]
    assert sorted(each.name for each in path.parent.iterdir()) == ["acme.series", "lock"]


def test_tenants_are_independent_and_their_number_of_open_tables_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_file, "MOST_TENANTS", 3)
    files, bounds = SeriesFiles(tmp_path), SeriesBounds(2, 0, HOUR)
    for number in range(6):
        assert judge(files.of(f"tenant-{number}"), of(A, 1, 2, 3), bounds) == [0, 0, OVER_TENANT]
    for number in range(6):
        assert judge(files.of(f"tenant-{number}"), of(A, 3, 1), bounds) == [OVER_TENANT, 0]
    assert len(files._tenants) == 3


def test_files_of_tenants_that_send_no_more_are_removed(tmp_path: Path) -> None:
    files, bounds, now = SeriesFiles(tmp_path), SeriesBounds(1, 0, HOUR), int(time.time())
    for name in ("gone", "here", "young"):
        assert judge(files.of(name), of(A, 1), bounds, now if name == "here" else now - 3 * HOUR) == [0]
    gone, stranger = tmp_path / "gone.series", tmp_path / "stranger.series"
    stranger.write_text("mine")
    (tmp_path / "gone.77.new").write_bytes(gone.read_bytes())
    for path in tmp_path.iterdir():
        if path.name != "young.series":
            os.utime(path, (now - 10 * HOUR,) * 2)
    files.remove_old(2 * HOUR)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "here.series",
        "lock",
        "stranger.series",
        "young.series",
    ]
    assert judge(files.of("gone"), of(A, 2), bounds) == [0]  # who had it open looked again
    assert gone.exists()
