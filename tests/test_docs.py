"""The documentation holds together: links lead somewhere, and what can be listed is listed whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("benchmarks/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
CODE = re.compile(r"^(    .*|```.*?^```)$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(CODE.sub("", page.read_text())) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_decision_is_in_the_index() -> None:
    index = (TOP / "docs" / "decisions" / "README.md").read_text()
    pages = [page.name for page in (TOP / "docs" / "decisions").glob("*.md") if page.name != "README.md"]
    assert not [page for page in pages if f"({page})" not in index], "add it to docs/decisions/README.md"


def test_every_benchmark_is_described() -> None:
    described = (TOP / "benchmarks" / "README.md").read_text()
    runnable = [page.stem for page in (TOP / "benchmarks").glob("*.py") if "__main__" in page.read_text()]
    assert not [name for name in runnable if f"`{name}`" not in described], "add it to benchmarks/README.md"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (TOP / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", (TOP / "README.md").read_text()))
    assert named <= targets
