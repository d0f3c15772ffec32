"""Regular expressions as PromQL has them: RE2's, which take time linear in what they look at, anchored at both ends.

Expressions come from outside: a backtracking engine would let one of them hold the service for hours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import re2
from numpy.typing import NDArray
from sonde.query.promql.labels import LabelColumn
from sonde.query.promql.syntax import Matcher, MatchOp

Pattern = Any
"""A compiled expression."""


class BadPattern(ValueError):
    """Not a regular expression of RE2; `str()` says why."""


GO_WORDING = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "trailing \\": "trailing backslash at end of expression",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
"""What Go's implementation, and so Prometheus, calls the errors of RE2's."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Pattern:
    """The expression, anchored, its dot matching line breaks too; raises `BadPattern`."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        # As it stands first: `a)|(b` is no expression, though it would be one between parentheses.
        re2.compile(pattern, options)
        return re2.compile(f"^(?:{pattern})$", options)
    except UnicodeEncodeError:
        raise BadPattern("invalid UTF-8") from None
    except re2.error as error:
        raise BadPattern(_text(error)) from error


def _text(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    what, colon, where = text.partition(": ")
    return f"{GO_WORDING.get(what, what)}: `{where}`" if colon else GO_WORDING.get(what, what)


def matched_values(values: NDArray[Any], matcher: Matcher) -> NDArray[np.bool_]:
    """(len(values),) which values a matcher accepts. The one place where matchers meet values."""
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        accepted = np.fromiter((value == matcher.value for value in values), bool, len(values))
    else:
        match = compiled(matcher.value).match
        accepted = np.fromiter((match(value) is not None for value in values), bool, len(values))
    return ~accepted if matcher.op in (MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX) else accepted


def matched_rows(column: LabelColumn, matcher: Matcher) -> NDArray[np.bool_]:
    """(n,) which series a matcher accepts; it looks at each distinct value once."""
    return matched_values(column.values, matcher)[column.codes]
