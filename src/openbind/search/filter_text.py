"""The text form of filters: `year > 2020 and (path like '%.jpg' or width is null)`.

    filter     = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" filter ")" | "true" | "false" | condition
    condition  = column compare ( column | value ) | value compare column
               | column [ "not" ] "in" "(" value { "," value } ")"
               | column [ "not" ] "between" value "and" value
               | column [ "not" ] ( "like" | "ilike" ) string
               | column "is" [ "not" ] "null"
    compare    = "=" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    column     = name | function "(" name ")"
    value      = number | string | "true" | "false" | ( "date" | "timestamp" ) string

Keywords are in any case, strings in single quotes, a quote in one is doubled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from openbind.errors import InputError
from openbind.search.filters import (
    FUNCTIONS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_TERMS,
    And,
    Between,
    Column,
    Constant,
    Filter,
    IsNull,
    Not,
    Or,
    Value,
    Within,
    compare,
    convert,
    like,
)

_TOKEN = re.compile(
    r"""(?P<string>'(?:[^']|'')*')
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?![\w.]))
      | (?P<word>[a-z_]\w*)
      | (?P<symbol><=|>=|<>|!=|[=<>(),])""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SPACE = re.compile(r"\s*")
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!=", "<>": "<>"}
_TYPES = ("date", "timestamp")


@dataclass(frozen=True)
class _Token:
    """One word of a filter.

    Args:
        kind: "string", "number", "word", "symbol", or "end".
        text: as written; words in lower case.
        start: its first character's position, from 0.
    """

    kind: str
    text: str
    start: int


def parse_filter(text: str) -> Filter:
    """Read a filter from its text.

    Raises:
        InputError: it isn't one; names the character where it stops to be one, from 1.
    """
    if len(text) > MAX_CHARACTERS:
        reason = f"expected a filter of at most {MAX_CHARACTERS:,} characters, found {len(text):,}"
        raise InputError(text, reason)
    parser = _Parser(text)
    try:
        return parser.parse()
    except ValueError as error:
        at = parser.here.start + 1
        raise InputError(text, f"at character {at}: {error}") from error


class _Parser:
    """Reads tokens from left to right; `here` is the one where an error is reported."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.here = _Token("symbol", "", 0)
        self.end = 0
        self.terms = 0

    def parse(self) -> Filter:
        found = self.any_of(0)
        if self.next().kind != "end":
            raise ValueError(f"expected and, or, or the end, found {self.here.text[:40]!r}")
        return found

    def any_of(self, depth: int) -> Filter:
        parts = [self.all_of(depth)]
        while self.take("or"):
            parts.append(self.all_of(depth))
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def all_of(self, depth: int) -> Filter:
        parts = [self.one(depth)]
        while self.take("and"):
            parts.append(self.one(depth))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def one(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise ValueError(f"expected at most {MAX_DEPTH} levels of parentheses and not")
        if self.take("not"):
            return Not(self.one(depth + 1))
        if self.take("("):
            found = self.any_of(depth + 1)
            self.expect(")")
            return found
        return self.condition()

    def condition(self) -> Filter:
        left = self.term()
        if not isinstance(left, Column):
            if isinstance(left, bool) and self.peek().text not in _MIRRORED:
                return Constant(left)
            operator = _MIRRORED[self.expect(*_MIRRORED)]
            return self.compared(self.column(), operator, left)
        if self.take("is"):
            negated = self.take("not")
            self.expect("null")
            return _negate(IsNull(left), negated)
        if self.peek().text in _MIRRORED:
            return self.compared(left, self.next().text, self.term())
        negated = self.take("not")
        return _negate(self.predicate(left), negated)

    def predicate(self, column: Column) -> Filter:
        word = self.expect("in", "between", "like", "ilike")
        if word == "in":
            self.expect("(")
            values = [self.value(column)]
            while self.take(","):
                values.append(self.value(column))
            self.expect(")")
            return Within(column, tuple(values))
        if word == "between":
            low = self.value(column)
            self.expect("and")
            return Between(column, low, self.value(column))
        return like(column, self.value(column), word == "ilike")

    def compared(self, column: Column, operator: str, value: Value | Column) -> Filter:
        return compare(column, "!=" if operator == "<>" else operator, value)

    def value(self, column: Column) -> Value:
        found = self.term()
        if isinstance(found, Column):
            raise ValueError(f"expected a value, found the column {found.name}")
        return convert(column, found)

    def column(self) -> Column:
        found = self.term()
        if not isinstance(found, Column):
            raise ValueError("expected a column, found a value")
        return found

    def term(self) -> Value | Column:
        token = self.next()
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise ValueError(f"expected at most {MAX_TERMS} columns and values")
        if token.kind == "string":
            return token.text[1:-1].replace("''", "'")
        if token.kind == "number":
            digits = token.text.lstrip("+-")
            return int(token.text) if digits.isdigit() else float(token.text)
        if token.kind != "word":
            raise ValueError(f"expected a column or a value, found {_shown(token)}")
        if token.text in ("true", "false"):
            return token.text == "true"
        if token.text in _TYPES and self.peek().kind == "string":
            return self.next().text[1:-1]
        if self.peek().text == "(" and token.text in FUNCTIONS:
            return self.call(token.text)
        return Column(token.text)

    def call(self, function: str) -> Column:
        self.expect("(")
        token = self.next()
        if token.kind != "word":
            raise ValueError(f"expected a column of times, found {_shown(token)}")
        found = Column(token.text, function)
        self.expect(")")
        return found

    def take(self, text: str) -> bool:
        """Go on if the next token is a word or a symbol."""
        if self.peek().text != text:
            return False
        self.next()
        return True

    def expect(self, *texts: str) -> str:
        token = self.next()
        if token.text not in texts or token.kind not in ("word", "symbol"):
            raise ValueError(f"expected {' or '.join(texts)}, found {_shown(token)}")
        return token.text

    def next(self) -> _Token:
        self.here = self.peek()
        self.end = self.here.start + len(self.here.text)
        return self.here

    def peek(self) -> _Token:
        start = self._skip_space()
        if start == len(self.text):
            return _Token("end", "", start)
        found = _TOKEN.match(self.text, start)
        if found is None:
            self.here = _Token("symbol", self.text[start], start)
            raise ValueError(_unreadable(self.text[start]))
        kind = str(found.lastgroup)
        written = found[0]
        return _Token(kind, written.lower() if kind == "word" else written, start)

    def _skip_space(self) -> int:
        found = _SPACE.match(self.text, self.end)
        return found.end() if found else self.end


def _negate(part: Filter, negated: bool) -> Filter:
    return Not(part) if negated else part


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text[:40])


def _unreadable(character: str) -> str:
    if character == "'":
        return "the string doesn't end"
    if character in '"`':
        return "expected strings in single quotes and names without any"
    return f"found {character!r}; expected columns, values, comparisons, and, or, not, parentheses"
