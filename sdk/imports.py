"""Tells when a module has been imported, so that a library is wrapped when the program first uses it, and not before.

What an instrumentation costs to load is mostly the library it wraps: a program pays for those it imports anyway.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], None]


@dataclass(frozen=True)
class Watch:
    """`callback` is called for every module whose name `matches`, each time that its code has run."""

    matches: Callable[[str], bool]
    callback: Callback


_waiting: dict[str, list[Callback]] = {}
_watching: list[Watch] = []
_lock = threading.Lock()


def watch_imports(watch: Watch) -> list[tuple[str, ModuleType]]:
    """From now on. What it matches that is there already is given back by name: it is for the caller to see to that."""
    with _lock:
        _watching.append(watch)
        _hook_in()
        return [(name, module) for name, module in list(sys.modules.items()) if watch.matches(name)]


def watch_no_longer(watch: Watch) -> None:
    with _lock:
        if watch in _watching:
            _watching.remove(watch)


def when_imported(name: str, callback: Callback) -> None:
    """Calls back once, in the thread that imports: after the module's code has run, before anyone has got it. At once where it
    is there already; for a module that is being imported this works where it was waited for before. What `callback` raises, the
    import raises."""
    with _lock:
        module = sys.modules.get(name)
        if module is None or is_being_imported(name):
            _waiting.setdefault(name, []).append(callback)
            _hook_in()
            return
    callback(module)


def _hook_in() -> None:
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _is_awaited(name: str) -> bool:
    return name in _waiting or any(watch.matches(name) for watch in _watching)


def is_being_imported(name: str) -> bool:
    """Whether the code of module `name` is running just now."""
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


def when_run(module: ModuleType, callback: Callback) -> None:
    """Calls back once, when the code of a module that is being imported just now has run to its end, before anyone has got it."""
    spec = module.__spec__
    if spec is not None:
        spec.__class__ = _Running
        vars(spec)[_Running.CALLBACKS] = [*vars(spec).get(_Running.CALLBACKS, []), (module, callback)]


class _Running(ModuleSpec):
    """The spec of a module whose code runs. Python's import says by `_initializing` that it no longer does."""

    CALLBACKS = "_sonde_callbacks"

    @property
    def _initializing(self) -> bool:
        return bool(vars(self)["_initializing"])

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        vars(self)["_initializing"] = value
        if value:
            return
        waiting = vars(self).pop(self.CALLBACKS)
        self.__class__ = ModuleSpec  # type: ignore[assignment]
        for module, callback in waiting:
            if sys.modules.get(self.name) is module:  # it did not fail
                callback(module)


def _call_back(module: ModuleType) -> None:
    with _lock:
        callbacks = _waiting.pop(module.__name__, [])
        callbacks += [watch.callback for watch in _watching if watch.matches(module.__name__)]
    for callback in callbacks:
        callback(module)


class Asking(threading.local):
    """What others are being asked for by this thread: they may import, or ask all finders again, before they answer."""

    def __init__(self) -> None:
        self.names: list[str] = []


class _Finder:
    """A meta path finder: lets the others find, and puts itself between the import and the module's own loader."""

    def __init__(self) -> None:
        self._asking = Asking()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        asking = self._asking.names
        if fullname in asking or not _is_awaited(fullname):
            return None
        asking.append(fullname)
        try:
            spec = self._found_by_others(fullname, path, target)
        finally:
            asking.remove(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            loader: Any = _Loader(spec.loader)
            spec.loader = loader
        return spec

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader:
    """The module's own loader, with a call back after its work. The module does not get to see this one."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        _call_back(module)


_FINDER = _Finder()
