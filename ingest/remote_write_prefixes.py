"""What is the same in every sample of a series, kept from request to request: a bounded cache.

A sender sends the same series again and again, and checking and encoding its labels is nearly all the work there is.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

OVERHEAD_BYTES = 250
"""Of one entry besides its bytes: two bytes objects and their place in a dict."""


@dataclass(slots=True)
class Prefixes:
    """Of one tenant. `young` may be read directly; what is not there may still be found by `recall`."""

    young: dict[Hashable, bytes] = field(default_factory=dict)
    old: dict[Hashable, bytes] = field(default_factory=dict)
    size: int = 0
    """Bytes of `young`, about."""
    _made_of: int = 0

    def recall(self, key: Hashable) -> bytes | None:
        """The prefix under `key`, where it was used some time ago; young again from now on."""
        prefix = self.old.pop(key, None)
        if prefix is not None:
            self.put(key, prefix)
        return prefix

    def put(self, key: Hashable, prefix: bytes) -> None:
        self.young[key] = prefix
        self.size += OVERHEAD_BYTES + 2 * len(prefix)

    def follow(self, changed: int) -> None:
        """Forget everything where what is known of metrics, which is in the prefixes, changed (`Families.changed`)."""
        if changed != self._made_of:
            self._made_of = changed
            self.young.clear()
            self.old.clear()
            self.size = 0

    def age(self) -> None:
        self.young, self.old, self.size = {}, self.young, 0


class PrefixCache:
    """Of all tenants, at most about `max_bytes`. Not thread-safe.

    In two generations: when the young ones fill half of it, those that were not used since the last time are forgotten.
    """

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._tenants: dict[str, Prefixes] = {}

    def of(self, tenant: str) -> Prefixes:
        """To be asked for each request: nothing ages while a request is worked on."""
        if sum(prefixes.size for prefixes in self._tenants.values()) > self._half:
            for prefixes in self._tenants.values():
                prefixes.age()
            self._tenants = {name: prefixes for name, prefixes in self._tenants.items() if prefixes.old}
        return self._tenants.setdefault(tenant, Prefixes())
