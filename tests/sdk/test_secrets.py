"""What looks like a secret is blotted out, and what does not stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.sdk import secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no, password=hunter2", "no, password=***"),
        ("{'api_key': 'abc123', 'user': 'bob'}", "{'api_key': ***, 'user': 'bob'}"),
        ('DB_PASSWORD: "a b", port: 1', "DB_PASSWORD: ***, port: 1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("can't connect to postgresql://shop:pw@db:5432/x", "can't connect to postgresql://***@db:5432/x"),
        ("key AKIAIOSFODNN7EXAMPLE is gone", "key *** is gone"),
        ("order 6f1c9c6e-4f0a-4a57-8f6c-1f8f0a1b2c3d is gone", "order 6f1c9c6e-4f0a-4a57-8f6c-1f8f0a1b2c3d is gone"),
        ("KeyError: 'thing'", "KeyError: 'thing'"),
        ("the author is: Bob", "the author is: Bob"),
        ("unexpected token: }", "unexpected token: }"),
    ],
)
def test_in_messages(text: str, told: str) -> None:
    assert secrets.in_text(text) == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('password = "hunter2"', 'password = "***"'),
        ('connect("db", password="a" "b", port=5432)', 'connect("***", password="***" "***", port=***)'),
        ('{"password": "hunter2"}', '{"password": "***"}'),
        ('os.environ["DB_PASSWORD"]', 'os.environ["DB_PASSWORD"]'),
        ('tokens = ["a", "b"]', 'tokens = ["***", "***"]'),
        ('if password == "hunter2": return', 'if password == "***": return'),
        ("check(user)  # the password is hunter2", "check(user)  # ***"),
        ("secret = 'it\\'s'", 'secret = "***"'),
        ('token = "never closed', 'token = "***"'),
        ('url = "http://a:b@c/d"', 'url = "http://***@c/d"'),
        ('client = Client("sk_live_abcdef0123")', 'client = Client("***")'),
        ('blob = "q83vEjRWeJCrze8SNFZ4kKvN7xI0Vniq"', 'blob = "***"'),
        ('digest = "d41d8cd98f00b204e9800998ecf8427e"', 'digest = "***"'),
        ("for key, value in items:", "for key, value in items:"),
        ("raise ValueError(f'{thing} is not there')", "raise ValueError(f'{thing} is not there')"),
        ('open("/srv/shop/releases/2024/settings.toml")', 'open("/srv/shop/releases/2024/settings.toml")'),
        ("    pass", "    pass"),
    ],
)
def test_in_a_line_of_source(line: str, told: str) -> None:
    assert list(secrets.in_source([line])) == [told]


@pytest.mark.parametrize(
    "lines",
    [
        ["password = (", '    "hunter2"', ")", 'name = "bob"'],
        ['PASSWORD = """', "hunter2", '"""', 'name = "bob"'],
        ["private_key = \\", "  'hunter2'", 'name = "bob"'],
        ['pem = """-----BEGIN PRIVATE KEY-----', "hunter2", "-----END PRIVATE KEY-----", '"""', 'name = "bob"'],
    ],
)
def test_in_statements_of_several_lines(lines: list[str]) -> None:
    told = list(secrets.in_source(lines))
    assert len(told) == len(lines)
    assert "hunter2" not in "".join(told)
    assert told[-1] == 'name = "bob"'


@given(st.lists(st.text(alphabet="apiken_sword\"'=:([{#\\ \n09/@-", max_size=60), max_size=6))
def test_any_text_goes(lines: list[str]) -> None:
    assert len(list(secrets.in_source(lines))) == len(lines)
    secrets.in_text("\n".join(lines))


def test_long_lines_take_no_long_time_and_are_cut() -> None:
    for text in ("token" * 20_000, "a1" * 50_000, '"' * 100_000, "password='" + "x" * 100_000):
        assert all(len(line) <= 2 * secrets.LONGEST_LINE for line in secrets.in_source([text]))
        secrets.in_text(text[:16_384])


@pytest.mark.parametrize("word", ["sign", "encrypt_", "pass ", "://", "api-", "eyJ"])
def test_a_text_that_is_made_to_take_long_is_gone_through_once(word: str) -> None:
    """Where a name may be of any length, a text of a megabyte takes hours."""
    assert secrets.in_text(word * 250_000)
