"""PromQL text to tokens.

What a character means depends on where it stands: words in braces are never keywords, in brackets there are only durations and
their arithmetic. So tokens are made one at a time, as the parser asks for them, and an error is raised only when the parser
gets there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sonde.query.promql.errors import ParseError
from sonde.query.promql.quoting import BadEscape, quote, rune, unquote
from sonde.query.promql.syntax import Span

IDENTIFIER, METRIC_IDENTIFIER, STRING, NUMBER, DURATION, END = (
    "identifier",
    "metric identifier",
    "string",
    "number",
    "duration",
    "end of input",
)
"""Kinds of tokens; a keyword's kind is the word in lower case, that of punctuation is its text."""

AGGREGATORS = frozenset(
    [
        "sum",
        "avg",
        "count",
        "min",
        "max",
        "group",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "count_values",
        "quantile",
        "limitk",
        "limit_ratio",
    ]
)
WORD_OPERATORS = frozenset(["and", "or", "unless", "atan2"])
MODIFIERS = frozenset(
    [
        "offset",
        "smoothed",
        "anchored",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "fill_left",
        "fill_right",
        "bool",
    ]
)
FILLS = frozenset(["fill", "fill_left", "fill_right"])
QUERY_WORDS = frozenset(["start", "end", "step", "range", "max_of", "min_of"])
DURATION_WORDS = frozenset(["step", "range", "max_of", "min_of"])
KEYWORDS = AGGREGATORS | WORD_OPERATORS | MODIFIERS | QUERY_WORDS
OPERATORS = WORD_OPERATORS | frozenset(
    ["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "</", ">/", "=~", "!~", "@"]
)

SPACE = re.compile(r"(?:[ \t\r\n]+|\#[^\r\n]*)+")
WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
LETTERS = re.compile(r"[A-Za-z_]+")
LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PARENTHESIS = re.compile(r"[ \t\r\n]*\(")
SYMBOL = re.compile(r"==|=(?!~)|!=|<=|</|<|>=|>/|>|[-+*/%^,@(){\[\]]")
SYMBOL_IN_BRACES = re.compile(r"=~|=|!~|!=|[,}]")
SYMBOL_IN_BRACKETS = re.compile(r"[-+*/%^,:()\]]")
NUMBER_TEXT = re.compile(
    r"0[xX](?:_?[0-9a-fA-F])+(?![0-9A-Za-z_.])"
    r"|(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?(?![0-9A-Za-z_.])"
)
DURATION_TEXT = re.compile(r"\d+[smhdwy]s?(?:\d+[smhdw]s?)*(?![0-9A-Za-z_])")
NUMBER_LIKE = re.compile(r"(?:0[xX])?[0-9_]*(?:\.[0-9_]*)?\.?(?:[eE][+-]?)?(?:(?:[smhdwy]s?[0-9]*)+[0-9A-Za-z_]?)?")
"""What is read of a malformed one before that is seen."""
QUOTED = {
    '"': re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'),
    "'": re.compile(r"'[^'\\\n]*(?:\\.[^'\\\n]*)*'"),
    "`": re.compile(r"`[^`]*`"),
}
NO_UTF8 = re.compile("[\ufffd\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    span: Span
    value: str = ""
    """What a string stands for."""

    def described(self) -> str:
        """The token in an error message: `identifier "foo"`, `<op:+>`, `<by>`, `end of input`."""
        if self.kind == END:
            return END
        if self.kind in (IDENTIFIER, METRIC_IDENTIFIER):
            return f"{self.kind} {quote(self.text)}"
        if self.kind in (STRING, NUMBER, DURATION):
            shown = quote(self.text) if len(self.text.encode()) <= 10 else f"{quote(self.text[:10])}..."
            return f"{self.kind} {shown}"
        if self.kind in MODIFIERS:
            return f"<{self.text}>"
        if self.kind in OPERATORS:
            return f"<op:{self.text}>"
        if self.kind in AGGREGATORS:
            return f"<aggr:{self.text}>"
        return quote(self.text)


class Lexer:
    """Gives the tokens of `text` in order, and END again and again after the last."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._parentheses = 0
        self._in_braces = False
        self._in_brackets = False
        self._seen_duration = False
        self._seen_number = False
        self._seen_colon = False

    def next(self) -> Token:
        if space := SPACE.match(self.text, self.at):
            self.at = space.end()
        if self.at >= len(self.text):
            return self._end()
        if self._in_braces:
            return self._next_in_braces()
        if self._in_brackets and not self._seen_number:
            return self._next_in_brackets()
        character = self.text[self.at]
        if character in QUOTED:
            return self._string(character)
        if character.isascii() and (character.isdigit() or self._is_fraction()):
            return self._number_or_duration()
        if word := WORD.match(self.text, self.at):
            return self._word_in_brackets(word[0]) if self._in_brackets else self._word(word[0])
        if symbol := SYMBOL.match(self.text, self.at):
            return self._symbol(symbol[0])
        raise self._unexpected_symbol(character)

    def error(self, message: str, start: int | None = None) -> ParseError:
        return ParseError(message, Span(self.at if start is None else start, len(self.text)), self.text)

    def _token(self, kind: str, text: str, value: str = "") -> Token:
        start = self.at
        self.at += len(text)
        return Token(kind, text, Span(start, self.at), value)

    def _end(self) -> Token:
        if self._in_braces:
            raise self.error("unexpected end of input inside braces")
        if self._in_brackets and not self._seen_number:
            raise self.error("unexpected end of input in duration expression")
        if self._parentheses:
            raise self.error("unclosed left parenthesis")
        if self._in_brackets:
            raise self.error("unclosed left bracket")
        return self._token(END, "")

    def _is_fraction(self) -> bool:
        following = self.text[self.at + 1 : self.at + 2]
        return self.text[self.at] == "." and following.isascii() and following.isdigit()

    def _word(self, text: str) -> Token:
        kind = text.lower()
        if kind in ("inf", "nan"):
            return self._token(NUMBER, text)
        if kind in FILLS and not self._parenthesis_follows(text):
            # A metric may be called `fill`: only `fill(` is the modifier.
            return self._token(IDENTIFIER, text)
        if kind in KEYWORDS:
            return self._token(kind, text)
        return self._token(METRIC_IDENTIFIER if ":" in text else IDENTIFIER, text)

    def _parenthesis_follows(self, text: str) -> bool:
        return PARENTHESIS.match(self.text, self.at + len(text)) is not None

    def _symbol(self, text: str) -> Token:
        token = self._token(text, text)
        match text:
            case "(":
                self._parentheses += 1
            case ")":
                self._close_parenthesis()
            case "{":
                self._in_braces = True
            case "[" if self._in_brackets:
                raise self.error(f"unexpected left bracket {rune(text)}", token.span.start)
            case "[":
                self._in_brackets = True
                self._seen_duration = self._seen_number = self._seen_colon = False
            case "]" if not self._in_brackets:
                raise self.error(f"unexpected right bracket {rune(text)}", token.span.start)
            case "]":
                self._in_brackets = False
        return token

    def _close_parenthesis(self) -> None:
        self._parentheses -= 1
        if self._parentheses < 0:
            raise self.error(f"unexpected right parenthesis {rune(')')}")

    def _unexpected_symbol(self, character: str) -> ParseError:
        following = self.text[self.at + 1 : self.at + 2]
        if character == "=":
            return self.error(f"unexpected character after '=': {rune(following)}")
        if character == "!":
            return self.error(f"unexpected character after '!': {rune(following) if following else 'end of input'}")
        return self.error(f"unexpected character: {rune(character)}")

    def _next_in_braces(self) -> Token:
        character = self.text[self.at]
        if character in QUOTED:
            return self._string(character)
        if label := LABEL.match(self.text, self.at):
            return self._token(IDENTIFIER, label[0])
        if symbol := SYMBOL_IN_BRACES.match(self.text, self.at):
            self._in_braces = symbol[0] != "}"
            return self._token(symbol[0], symbol[0])
        if character == "!":
            following = self.text[self.at + 1 : self.at + 2]
            raise self.error(
                f"unexpected character after '!' inside braces: {rune(following) if following else 'end of input'}"
            )
        if character == "{":
            raise self.error(f"unexpected left brace {rune(character)}")
        raise self.error(f"unexpected character inside braces: {rune(character)}")

    def _next_in_brackets(self) -> Token:
        """Up to the first number there is nothing but signs, parentheses and words of durations."""
        character = self.text[self.at]
        if character.isascii() and (character.isdigit() or self._is_fraction()):
            return self._number_or_duration()
        if symbol := SYMBOL_IN_BRACKETS.match(self.text, self.at):
            return self._colon() if symbol[0] == ":" else self._symbol(symbol[0])
        if (word := LETTERS.match(self.text, self.at)) and word[0].lower() in DURATION_WORDS:
            return self._duration_word(word[0])
        raise self.error(f"unexpected character in duration expression: {rune(character)}")

    def _word_in_brackets(self, text: str) -> Token:
        if text.startswith(":"):
            return self._colon()
        if (word := LETTERS.match(text)) and word[0].lower() in DURATION_WORDS:
            return self._duration_word(word[0])
        raise self.error(f"unexpected character: {rune(text[0])}, expected {rune(':')}")

    def _duration_word(self, text: str) -> Token:
        self._seen_duration = True
        return self._token(text.lower(), text)

    def _colon(self) -> Token:
        token = self._token(":", ":")
        if not self._seen_duration:
            raise self.error("unexpected colon before duration in duration expression")
        if self._seen_colon:
            raise self.error(f"unexpected colon {rune(':')}", token.span.start)
        self._seen_colon = True
        return token

    def _number_or_duration(self) -> Token:
        self._seen_number = self._seen_duration = True
        if number := NUMBER_TEXT.match(self.text, self.at):
            return self._token(NUMBER, number[0])
        if duration := DURATION_TEXT.match(self.text, self.at):
            return self._token(DURATION, duration[0])
        found = NUMBER_LIKE.match(self.text, self.at)
        assert found, "the pattern matches the empty text too"
        raise self.error(f"bad number or duration syntax: {quote(found[0])}")

    def _string(self, quote_mark: str) -> Token:
        found = QUOTED[quote_mark].match(self.text, self.at)
        if not found:
            raise self.error("unterminated raw string" if quote_mark == "`" else "unterminated quoted string")
        if NO_UTF8.search(found[0]):
            raise self.error("invalid UTF-8 rune")
        try:
            value = unquote(found[0])
        except BadEscape as error:
            raise self.error(str(error)) from None
        return self._token(STRING, found[0], value)
