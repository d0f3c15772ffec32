"""What a PromQL question answers, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Series:
    """One series of the answer."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, Any], ...]
    """(Unix seconds, value): one, but for a range such as `requests_total[5m]`. A value is a float, a text, or a native histogram
    with `count` and `sum`."""

    @property
    def value(self) -> Any:
        """The last one."""
        return self.samples[-1][1]

    def __str__(self) -> str:
        return f"{{{', '.join(f'{name}={text!r}' for name, text in self.labels.items())}}} {self.value}"


class Answer(list[Series]):
    """The series, in order."""

    def __init__(self, query: str, series: list[Series]) -> None:
        super().__init__(series)
        self.query = query

    @property
    def value(self) -> Any:
        """The value of the only series. AssertionError where there is none, or several."""
        if len(self) != 1:
            found = "\n".join(f"  {series}" for series in self)
            raise AssertionError(f"{self.query} has {len(self)} series where one was expected\n{found}".rstrip())
        return self[0].value

    @property
    def values(self) -> list[Any]:
        return [series.value for series in self]
