"""Which modules a pattern means."""

from __future__ import annotations

import pytest
from sonde.sdk.wrapping.patterns import matching


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("shop.*", ["shop", "shop.cart", "shop.cart.prices"], ["shopping", "workshop.shop", "myshop"]),
        ("billing.tax", ["billing.tax"], ["billing", "billing.tax.rates", "billing.taxes"]),
        ("*.views", ["shop.views", "shop.admin.views"], ["views", "shop.views.extra"]),
        ("shop.[ab]*", ["shop.a", "shop.basket"], ["shop", "shop.cart"]),
        ("__main__", ["__main__"], ["shop"]),
        ("*", ["shop", "shop.cart"], ["json", "json.decoder", "sonde.sdk.spans", "opentelemetry.trace", "wrapt"]),
        ("sonde.*", ["sonde", "sonde.query.app"], ["sonde.sdk", "sonde.sdk.spans"]),
    ],
)
def test_a_pattern_means_modules(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    matches = matching([pattern])
    assert [name for name in meant if not matches(name)] == []
    assert [name for name in not_meant if matches(name)] == []


def test_several_patterns_mean_what_any_of_them_does() -> None:
    matches = matching(["shop.*", "billing"])
    assert [name for name in ("shop.cart", "billing", "billing.tax") if matches(name)] == ["shop.cart", "billing"]
    assert not matching([])("shop")
