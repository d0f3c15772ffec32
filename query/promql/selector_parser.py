"""The grammar of what stands in braces and in parentheses after `by`: matchers and label names."""

from __future__ import annotations

from sonde.query.promql.cursor import Cursor
from sonde.query.promql.lexer import IDENTIFIER, KEYWORDS, METRIC_IDENTIFIER, STRING, Token
from sonde.query.promql.quoting import is_utf8, quote
from sonde.query.promql.regex import BadPattern, compiled
from sonde.query.promql.syntax import Matcher, MatchOp, Span

LABEL_WORDS = KEYWORDS | {IDENTIFIER, METRIC_IDENTIFIER}
"""Kinds of tokens that may be a label's name in a grouping: all keywords, `without` too, where Prometheus has forgotten it."""
MATCH_OPS = {op.value: op for op in MatchOp}
AFTER_LABEL = ("grouping opts", '"," or ")"')
AFTER_MATCHER = ("label matching", '"," or "}"')


def grouping_labels(cursor: Cursor) -> tuple[str, ...]:
    """`(a, "b.c")`, which may be empty and may end in a comma."""
    with cursor.within("grouping opts", '"("'):
        cursor.expect("(")
    labels: list[str] = []
    while not cursor.take_if(")"):
        with cursor.within("grouping opts", "label"):
            labels.append(_grouping_label(cursor))
        with cursor.within(*AFTER_LABEL):
            if not cursor.take_if(","):
                cursor.expect(")")
                break
    return tuple(labels)


def _grouping_label(cursor: Cursor) -> str:
    token = cursor.take_if(STRING, *LABEL_WORDS)
    if token is None:
        raise cursor.unexpected()
    name = token.value if token.kind == STRING else token.text
    if not is_label_name(name):
        raise cursor.error(f"invalid label name for grouping: {quote(name)}", token.span)
    return name


def is_label_name(name: str) -> bool:
    """Any text is, if it is UTF-8 and not empty."""
    return bool(name) and is_utf8(name)


def label_matchers(cursor: Cursor) -> tuple[tuple[Matcher, ...], Span]:
    """`{a="b", "c.d"=~"e", "metric.name"}`, which may be empty and may end in a comma."""
    start = cursor.expect("{").span.start
    matchers: list[Matcher] = []
    while not (end := cursor.take_if("}")):
        matchers.append(_matcher(cursor))
        with cursor.within(*AFTER_MATCHER):
            if not cursor.take_if(","):
                end = cursor.expect("}")
                break
    return tuple(matchers), Span(start, end.span.end)


def _matcher(cursor: Cursor) -> Matcher:
    with cursor.within("label matching", 'identifier or "}"'):
        name = cursor.take_if(IDENTIFIER, STRING)
        if name is None:
            raise cursor.unexpected()
    op = cursor.take_if(*MATCH_OPS)
    if op is None and name.kind == STRING:
        return Matcher("__name__", MatchOp.EQUAL, name.value)
    if op is None:
        with cursor.within("label matching", "label matching operator"):
            raise cursor.unexpected()
    with cursor.within("label matching", "string"):
        value = cursor.expect(STRING)
    matcher = Matcher(name.value if name.kind == STRING else name.text, MATCH_OPS[op.kind], value.value)
    _check_pattern(cursor, matcher, name, value)
    return matcher


def _check_pattern(cursor: Cursor, matcher: Matcher, name: Token, value: Token) -> None:
    if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
        try:
            compiled(matcher.value)
        except BadPattern as error:
            span = Span(name.span.start, value.span.end)
            raise cursor.error(f"error parsing regexp: {error}", span) from None
