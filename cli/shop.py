"""What the shop does: its journeys, as trees of steps over a dozen services. Declarations only; `shop_traces.py` walks them.

A step knows the constant part of the spans it makes, already encoded. Span fields used here (trace.proto): name 5, kind 6,
attributes 9; SpanKind: internal 1, server 2, client 3, producer 4, consumer 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

from sonde.cli.otlp_wire import Value, attributes, number, text

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done. `service` is who does it, or "" where it is done within the caller (or outside the shop)."""

    layer: str
    """web, rpc, db, messaging or app: names the instrumentation scope, and the metric that counts it."""
    name: str
    service: str
    ms: float
    """Median of its own time in milliseconds, without what it calls."""
    outer: bytes = b""
    """Constant fields of the caller's span (client, producer, internal)."""
    inner: bytes = b""
    """Constant fields of the callee's span (server, consumer); empty where there is none."""
    calls: tuple[Step, ...] = ()
    times: tuple[int, int] = (1, 1)
    """How often it is done: at least, at most."""
    chance: float = 1.0
    parallel: bool = False
    """Whether its calls run at the same time."""
    path: str = ""
    """Path with `{}` where an id belongs, for what is reached over HTTP."""
    consumer: Step | None = None
    """What a published message sets off, in a trace of its own that links back."""


class More(TypedDict, total=False):
    """What any step may say besides: see `Step`."""

    times: tuple[int, int]
    chance: float
    parallel: bool


def span_head(name: str, kind: int, values: dict[str, Value]) -> bytes:
    return text(5, name) + number(6, kind) + attributes(9, values)


def http(service: str, method: str, path: str, ms: float, *calls: Step, **more: Unpack[More]) -> Step:
    """A request to another service over HTTP."""
    route = path.replace("{}", "{id}")
    called: dict[str, Value] = {
        "http.request.method": method,
        "server.address": f"{service}.shop.svc.cluster.local",
        "server.port": 8080,
        "network.protocol.version": "1.1",
    }
    served: dict[str, Value] = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": "http",
        "server.address": f"{service}.shop.svc.cluster.local",
        "server.port": 8080,
        "network.protocol.version": "1.1",
        "user_agent.original": "shop-gateway/1.44",
    }
    outer, inner = span_head(method, CLIENT, called), span_head(f"{method} {route}", SERVER, served)
    return Step("web", f"{method} {route}", service, ms, outer, inner, calls, path=path, **more)


def rpc(service: str, method: str, ms: float, *calls: Step, **more: Unpack[More]) -> Step:
    """A gRPC call to another service; `method` is `package.Service/Method`."""
    service_name, _, method_name = method.partition("/")
    shared: dict[str, Value] = {"rpc.system": "grpc", "rpc.service": service_name, "rpc.method": method_name}
    address: dict[str, Value] = {"server.address": f"{service}.shop.svc.cluster.local", "server.port": 9090}
    outer, inner = span_head(method, CLIENT, shared | address), span_head(method, SERVER, shared)
    return Step("rpc", method, service, ms, outer, inner, calls, **more)


def sql(operation: str, table: str, ms: float, **more: Unpack[More]) -> Step:
    """A PostgreSQL statement."""
    statements = {
        "SELECT": f"SELECT * FROM {table} WHERE id = $1",
        "INSERT": f"INSERT INTO {table} VALUES ($1, $2, $3, $4)",
        "UPDATE": f"UPDATE {table} SET state = $2 WHERE id = $1",
    }
    values: dict[str, Value] = {
        "db.system.name": "postgresql",
        "db.namespace": "shop",
        "db.operation.name": operation,
        "db.collection.name": table,
        "db.query.text": statements[operation],
        "server.address": f"pg-{table.partition('_')[0]}.shop.internal",
        "server.port": 5432,
    }
    return Step("db", f"{operation} {table}", "", ms, span_head(f"{operation} {table}", CLIENT, values), **more)


def redis(command: str, key: str, ms: float = 0.4, **more: Unpack[More]) -> Step:
    values: dict[str, Value] = {
        "db.system.name": "redis",
        "db.operation.name": command,
        "db.query.text": f"{command} {key}:?",
        "server.address": "redis.shop.internal",
        "server.port": 6379,
    }
    return Step("db", command, "", ms, span_head(command, CLIENT, values), **more)


def outside(host: str, method: str, path: str, ms: float, **more: Unpack[More]) -> Step:
    """A request to somebody else's API: only the caller's span is ours."""
    values: dict[str, Value] = {
        "http.request.method": method,
        "server.address": host,
        "server.port": 443,
        "url.scheme": "https",
    }
    return Step("web", method, "", ms, span_head(method, CLIENT, values), path=path, **more)


def within(name: str, ms: float, *calls: Step, **more: Unpack[More]) -> Step:
    """A piece of the caller's own work worth a span."""
    return Step("app", name, "", ms, span_head(name, INTERNAL, {"code.function.name": name}), calls=calls, **more)


def publish(topic: str, consumer_service: str, ms: float, *calls: Step, **more: Unpack[More]) -> Step:
    """A message; the consumer handles it a little later, in its own trace."""
    shared: dict[str, Value] = {"messaging.system": "kafka", "messaging.destination.name": topic}
    outer = span_head(f"send {topic}", PRODUCER, shared | {"messaging.operation.type": "send"})
    handled: dict[str, Value] = {
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": consumer_service,
    }
    inner = span_head(f"process {topic}", CONSUMER, shared | handled)
    consumer = Step("messaging", f"process {topic}", consumer_service, ms, b"", inner, calls)
    return Step("messaging", f"send {topic}", "", 1.5, outer, consumer=consumer, **more)


AUTHENTICATE = rpc("accounts", "shop.Accounts/Authenticate", 2.0, redis("GET", "session"))
LOGIN = rpc("accounts", "shop.Accounts/Login", 40.0, sql("SELECT", "users", 2.0), redis("SET", "session"))
PRODUCT = rpc(
    "catalog",
    "shop.Catalog/GetProduct",
    3.0,
    redis("GET", "product"),
    sql("SELECT", "products", 2.5, chance=0.3),
    within("render_description", 1.0, chance=0.5),
)
STOCK = rpc("inventory", "shop.Inventory/GetStock", 2.0, sql("SELECT", "stock_levels", 1.8))
PRICES = rpc("catalog", "shop.Catalog/GetPrices", 2.0, redis("MGET", "price"), sql("SELECT", "prices", 2.0, chance=0.2))
RECOMMEND = rpc(
    "recommendation",
    "shop.Recommendation/List",
    6.0,
    redis("GET", "features"),
    within("score_candidates", 9.0),
    PRICES,
    chance=0.8,
)
BASKET = rpc("basket", "shop.Basket/Get", 1.5, redis("HGETALL", "basket"))
QUOTE = rpc(
    "shipping", "shop.Shipping/Quote", 3.0, outside("api.parcels.example", "POST", "/v2/rates", 35.0, chance=0.6)
)
CHARGE = rpc(
    "payment",
    "shop.Payment/Charge",
    4.0,
    within("score_fraud", 5.0, redis("GET", "risk")),
    outside("api.cards.example", "POST", "/v1/charges", 90.0),
    sql("INSERT", "payments", 2.0),
    publish("payment-events", "fulfilment", 3.0, sql("UPDATE", "orders", 2.0)),
)
CONFIRMATION = publish(
    "order-confirmations",
    "mailer",
    6.0,
    within("render_template", 4.0),
    outside("smtp.mail.example", "POST", "/send", 60.0),
    sql("INSERT", "mails", 1.5),
)
FULFILMENT = publish(
    "orders",
    "fulfilment",
    5.0,
    sql("SELECT", "orders", 2.0),
    rpc("inventory", "shop.Inventory/Pick", 4.0, sql("UPDATE", "stock_levels", 2.2, times=(1, 4))),
    rpc("shipping", "shop.Shipping/CreateLabel", 5.0, outside("api.parcels.example", "POST", "/v2/labels", 55.0)),
    sql("UPDATE", "orders", 2.4),
)
PLACE_ORDER = rpc(
    "checkout",
    "shop.Checkout/PlaceOrder",
    6.0,
    BASKET,
    rpc("inventory", "shop.Inventory/Reserve", 3.0, sql("UPDATE", "stock_levels", 2.5, times=(1, 4))),
    QUOTE,
    within("compute_total", 1.5, PRICES),
    CHARGE,
    sql("INSERT", "orders", 3.0),
    FULFILMENT,
    CONFIRMATION,
    rpc("basket", "shop.Basket/Clear", 1.0, redis("DEL", "basket")),
)


def journey(method: str, path: str, ms: float, *calls: Step, **more: Unpack[More]) -> Step:
    """A visitor's request: gateway, then the storefront, then what it needs."""
    return http("gateway", method, path, 0.8, AUTHENTICATE, http("storefront", method, path, ms, *calls, **more))


JOURNEYS: tuple[tuple[float, Step], ...] = (
    (30, journey("GET", "/", 5.0, PRODUCT, PRICES, RECOMMEND, BASKET, parallel=True)),
    (30, journey("GET", "/products/{}", 4.0, PRODUCT, STOCK, PRICES, RECOMMEND, BASKET, parallel=True)),
    (
        18,
        journey(
            "GET",
            "/search",
            4.0,
            rpc("search", "shop.Search/Query", 12.0, within("rank", 6.0), redis("GET", "query-cache")),
            rpc(
                "catalog",
                "shop.Catalog/GetProducts",
                4.0,
                redis("MGET", "product"),
                sql("SELECT", "products", 3.0, times=(1, 3)),
            ),
            PRICES,
        ),
    ),
    (
        12,
        journey(
            "POST",
            "/basket/items",
            3.0,
            PRODUCT,
            STOCK,
            rpc("basket", "shop.Basket/Add", 2.0, redis("HSET", "basket"), redis("EXPIRE", "basket")),
        ),
    ),
    (
        4,
        journey(
            "POST",
            "/login",
            3.0,
            LOGIN,
        ),
    ),
    (12, journey("POST", "/checkout", 5.0, BASKET, PLACE_ORDER)),
)
JOB_STEPS = (
    within("load", 400.0, sql("SELECT", "orders", 120.0, times=(1, 6))),
    within("transform", 900.0, within("partition", 250.0, times=(1, 4))),
    within("store", 300.0, sql("INSERT", "reports", 60.0, times=(1, 6)), redis("SET", "watermark")),
)
