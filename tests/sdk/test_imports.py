"""Being told that a module was imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from sonde.sdk import imports
from sonde.sdk.imports import Watch, watch_imports, watch_no_longer, when_imported


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("awaited_a", "awaited_b"):
        (tmp_path / f"{name}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("awaited_a", "awaited_b"):
        sys.modules.pop(name, None)


class Curious:
    """A finder that imports one module, and asks all finders once more, before it says where another is; as wrapt's does."""

    def __init__(self) -> None:
        self.asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "awaited_a" or self.asking:
            return None
        self.asking = True
        importlib.import_module("awaited_b")
        return importlib.util.find_spec(fullname)


def test_a_finder_may_import_and_ask_while_it_is_asked(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    watch = Watch(lambda name: name.startswith("awaited_"), lambda module: heard.append(module.__name__))
    watch_imports(watch)
    try:
        monkeypatch.setattr(sys, "meta_path", [sys.meta_path[0], Curious(), *sys.meta_path[1:]])
        importlib.import_module("awaited_a")
    finally:
        watch_no_longer(watch)
    assert heard == ["awaited_b", "awaited_a"]


def test_a_watch_is_told_of_every_module_that_it_means_each_time(made: Path) -> None:
    heard: list[str] = []
    watch = Watch(lambda name: name.startswith("awaited_"), lambda module: heard.append(module.__name__))
    importlib.import_module("awaited_a")
    assert [name for name, _ in watch_imports(watch)] == ["awaited_a"]
    importlib.reload(importlib.import_module("awaited_b"))
    assert heard == ["awaited_b", "awaited_b"]
    watch_no_longer(watch)
    importlib.reload(importlib.import_module("awaited_b"))
    assert heard == ["awaited_b", "awaited_b"]


def test_a_module_sees_its_own_loader(made: Path) -> None:
    when_imported("awaited_a", lambda module: None)
    module = importlib.import_module("awaited_a")
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


@pytest.mark.parametrize(("end", "told"), [("", ["value True", "other True"]), ("raise OSError", [])])
def test_a_module_can_be_waited_for_while_its_code_runs(end: str, told: list[str], made: Path) -> None:
    heard: list[str] = []
    imports.heard = heard  # type: ignore[attr-defined]
    (made / "awaited_a.py").write_text(
        "import sys\nfrom sonde.sdk import imports\n"
        "for name in ('value', 'other'):\n"
        "    imports.when_run(sys.modules[__name__], lambda module, name=name: "
        "imports.heard.append(f'{name} {hasattr(module, name)}'))\n"
        f"value = other = 1\n{end}\n"
    )
    try:
        module = importlib.import_module("awaited_a")
        assert type(module.__spec__) is ModuleSpec
        assert not imports.is_being_imported("awaited_a")
    except OSError:
        assert end
    finally:
        del imports.heard  # type: ignore[attr-defined]
    assert heard == told
