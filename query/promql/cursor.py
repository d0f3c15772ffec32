"""Where a parse stands in its tokens, and what it says when one doesn't belong there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sonde.query.promql.errors import ParseError
from sonde.query.promql.lexer import END, Lexer, Token
from sonde.query.promql.syntax import Span

MAX_CHARACTERS = 100_000
"""In a query's text: more is no question that a person or a dashboard asks."""
MAX_DEPTH = 128
"""Levels of a tree. Everything that walks one is recursive; a deeper text gets an error instead of a RecursionError."""


class Cursor:
    """One token of look-ahead over a text, the rules that are open, and how deep they nest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.last = Token(END, "", Span(0, 0))
        """The token taken last."""
        self._lexer = Lexer(text)
        self._ahead: Token | None = None
        self._rules: list[tuple[str, str]] = [("", "")]
        self._depth = 0
        if len(text) > MAX_CHARACTERS:
            raise ParseError(f"the query has more than {MAX_CHARACTERS:,} characters", Span(0, len(text)), text)

    def peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._lexer.next()
        return self._ahead

    def take(self) -> Token:
        self.last, self._ahead = self.peek(), None
        return self.last

    def take_if(self, *kinds: str) -> Token | None:
        return self.take() if self.peek().kind in kinds else None

    def expect(self, kind: str) -> Token:
        return self.take_if(kind) or self._fail()

    def _fail(self) -> Token:
        raise self.unexpected()

    def unexpected(self) -> ParseError:
        """The error that the next token is."""
        rule, expected = self._rules[-1]
        token = self.peek()
        message = f"unexpected {token.described()}"
        message += f" in {rule}" if rule else ""
        message += f", expected {expected}" if expected else ""
        return self.error(message, token.span)

    def error(self, message: str, span: Span) -> ParseError:
        return ParseError(message, span, self.text)

    @contextmanager
    def within(self, rule: str, expected: str = "") -> Iterator[None]:
        """What is parsed in here is part of `rule`: a token that does not belong there is said to be unexpected in it."""
        self._rules.append((rule, expected))
        yield
        self._rules.pop()

    def descend(self) -> None:
        """One level down; `ascend` is its counterpart."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.too_deep(self.peek().span)

    def ascend(self) -> None:
        self._depth -= 1

    def too_deep(self, span: Span) -> ParseError:
        return self.error(f"the query nests deeper than {MAX_DEPTH} levels", span)
