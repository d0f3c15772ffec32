"""The functions of the script that Python runs: they are traced before it uses them, whichever way it is run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import functools, sys
    {first}

    def decorator(function):
        @functools.wraps(function)
        def around(*args):
            return function(*args)
        return around

    @decorator
    @functools.lru_cache(
        maxsize=3,
    )
    def helper(number):
        return number

    class Cart:
        total = 3
        def add(self):
            return helper(1)

    async def pay(): ...

    def main():
        {inner}
        import asyncio
        Cart().add()
        asyncio.run(pay())

    if __name__ == "__main__":
        main()
        print(sys.getprofile() is None)
        from sonde.sdk.instrumenting import current
        hook = current().traced
        names = sorted(site.name for site in hook.sites.values() if site.kept)
        print(*names, *hook.notes, sep="\\n")
"""
TRACED = ["True", "__main__.Cart.add", "__main__.helper", "__main__.pay"]
ONE_LINE = 'from sonde.sdk import instrument; instrument(trace="__main__")'
LAUNCHED = str(Path(__file__).parents[3] / "sdk" / "startup")


def run(folder: Path, *words: str, first: str = "", inner: str = "", **extra: str) -> list[str]:
    text = textwrap.dedent(PROGRAM.format(first=first, inner=inner))
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    for name in ("app.py", "shop/__main__.py", "shop/web.py"):
        (folder / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_"))}
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "SONDE_SDK_EXIT_SECONDS": "0.1"}
    settings |= {"SONDE_SDK_TRACE_MIN_DURATION": "0", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=kept | settings | extra, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["app.py"], "__main__"),
        (["-m", "shop"], "shop.*"),
        (["-m", "shop.web"], "shop.web"),
        (["shop"], "__main__"),
    ],
)
def test_before_its_first_line(words: list[str], pattern: str, tmp_path: Path) -> None:
    assert run(tmp_path, *words, PYTHONPATH=LAUNCHED, SONDE_SDK_TRACE=pattern) == TRACED


def test_by_its_first_line(tmp_path: Path) -> None:
    assert run(tmp_path, "app.py", first=ONE_LINE) == TRACED


def test_below_its_functions(tmp_path: Path) -> None:
    assert run(tmp_path, "app.py", inner=ONE_LINE) == TRACED


def test_where_it_is_not_meant_nothing_of_it_is_traced_or_looked_at(tmp_path: Path) -> None:
    found = run(tmp_path, "app.py", inner="assert not sys.getprofile()", PYTHONPATH=LAUNCHED, SONDE_SDK_TRACE="shop.*")
    assert found == ["True", ""]


def test_a_program_that_is_profiled_keeps_its_profiler(tmp_path: Path) -> None:
    first = f"sys.setprofile(lambda *_: None); {ONE_LINE}; sys.setprofile(None)"
    found = run(tmp_path, "app.py", first=first)
    assert found == ["True", "__main__ is not traced: RuntimeError: something else profiles the program"]
