"""Queries that differ in nothing but their values have one shape."""

from __future__ import annotations

import pytest
from sonde.testing.statements import shape


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT * FROM a WHERE id = 7", "SELECT * FROM a WHERE id = ?"),
        ("SELECT * FROM a\n  WHERE id = %(id_1)s;", "SELECT * FROM a WHERE id = ?"),
        ("SELECT * FROM a WHERE id = $1", "SELECT * FROM a WHERE id = ?"),
        ("SELECT * FROM a WHERE id = :id", "SELECT * FROM a WHERE id = ?"),
        ("SELECT * FROM a WHERE name = 'it''s; -- no comment'", "SELECT * FROM a WHERE name = ?"),
        ("SELECT * FROM a WHERE id IN (1, 2,3)", "SELECT * FROM a WHERE id IN (?)"),
        ("SELECT * FROM a WHERE id IN (%s, %s)", "SELECT * FROM a WHERE id IN (?)"),
        ("INSERT INTO a VALUES (1, 'x'), (2, 'y')", "INSERT INTO a VALUES (?)"),
        ("SELECT 1 /* trace 12 */ -- by 7", "SELECT ?"),
        ("SELECT a1.x, t2.y FROM t2", "SELECT a1.x, t2.y FROM t2"),
        ("SELECT x::int FROM a WHERE d > 1.5e3", "SELECT x CAST int FROM a WHERE d > ?"),
    ],
)
def test_shapes(statement: str, expected: str) -> None:
    assert shape(statement) == expected
