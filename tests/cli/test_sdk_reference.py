"""The page of the SDK's settings is the settings."""

from __future__ import annotations

from pathlib import Path

from sonde.cli.sdk_reference import pages

PAGE = Path(__file__).parents[2] / "docs" / "sdk-settings.md"


def test_the_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text() == "".join(pages()), "run: make docs"
