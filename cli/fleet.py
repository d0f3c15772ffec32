"""The imagined fleet: 100 servers, 700 containers, 500 jobs, 150 deployments a day. The services of the shop run on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from sonde.cli.otlp_wire import Value, attributes

SERVERS = 100
CONTAINERS = 700
JOBS = 500
DEPLOYMENTS_A_DAY = 150
REGION = "eu-central-1"
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
RUNTIMES = {
    "python": ("cpython", "3.13.2"),
    "java": ("OpenJDK Runtime Environment", "21.0.6"),
    "go": ("go", "go1.24.1"),
    "nodejs": ("nodejs", "22.14.0"),
    "dotnet": (".NET", "9.0.2"),
    "rust": ("rustc", "1.85.0"),
}
SDK_VERSIONS = {
    "python": "1.45.0",
    "java": "1.48.0",
    "go": "1.35.0",
    "nodejs": "2.0.0",
    "dotnet": "1.11.2",
    "rust": "0.28.0",
}


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    language: str
    replicas: int
    version: str


SERVICES = (
    Service("storefront", "nodejs", 12, "5.12.3"),
    Service("gateway", "go", 8, "1.44.0"),
    Service("accounts", "java", 8, "3.9.1"),
    Service("catalog", "python", 10, "2.18.0"),
    Service("search", "rust", 8, "0.31.4"),
    Service("basket", "dotnet", 8, "4.2.7"),
    Service("checkout", "java", 10, "2.4.0"),
    Service("payment", "go", 6, "1.12.2"),
    Service("inventory", "python", 8, "1.27.5"),
    Service("shipping", "go", 6, "2.0.9"),
    Service("recommendation", "python", 8, "0.14.2"),
    Service("mailer", "python", 4, "1.3.8"),
    Service("fulfilment", "python", 4, "1.8.0"),
)


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    zone: str
    resource: bytes
    """The encoded Resource."""


@dataclass(slots=True)
class Container:
    """One replica of a service. A deployment gives it another version, and so another pod and another resource."""

    service: Service
    index: int
    version: str
    server: Server
    pod: str = ""
    resource: bytes = b""
    started_unix_nano: int = 0

    def start(self, rng: Random, now_unix_nano: int) -> None:
        """Takes a new pod name and container id, as after a roll-out."""
        self.pod = f"{self.service.name}-{rng.getrandbits(40):010x}-{rng.getrandbits(20):05x}"
        self.started_unix_nano = now_unix_nano
        self.resource = attributes(1, self.describe(rng))

    def describe(self, rng: Random) -> dict[str, Value]:
        runtime, runtime_version = RUNTIMES[self.service.language]
        return {
            "service.name": self.service.name,
            "service.namespace": "shop",
            "service.version": self.version,
            "service.instance.id": self.pod,
            "deployment.environment.name": "production",
            "telemetry.sdk.language": self.service.language,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": SDK_VERSIONS[self.service.language],
            "process.runtime.name": runtime,
            "process.runtime.version": runtime_version,
            "process.pid": 1 + rng.randrange(64),
            "process.command_args": (f"/app/{self.service.name}", "--config", "/etc/app/config.yaml"),
            "k8s.cluster.name": "shop-prod",
            "k8s.namespace.name": "shop",
            "k8s.deployment.name": self.service.name,
            "k8s.pod.name": self.pod,
            "k8s.container.name": "app",
            "k8s.container.restart_count": 0,
            "k8s.node.name": self.server.name,
            "container.id": f"{rng.getrandbits(256):064x}",
            "container.image.name": f"registry.shop.example/{self.service.name}",
            "container.image.tags": (self.version,),
            "host.name": self.server.name,
            "cloud.region": REGION,
            "cloud.availability_zone": self.server.zone,
        }


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled job; each run is a trace of its own."""

    name: str
    resource: bytes


@dataclass(slots=True)
class Fleet:
    """Everything that runs, from one seed. `by_service` holds the shop; `others` the containers that only report metrics."""

    rng: Random
    servers: list[Server] = field(default_factory=list)
    by_service: dict[str, list[Container]] = field(default_factory=dict)
    others: list[tuple[str, bytes]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @classmethod
    def build(cls, rng: Random, now_unix_nano: int) -> Fleet:
        fleet = cls(rng)
        fleet.servers = [make_server(index, rng) for index in range(SERVERS)]
        for service in SERVICES:
            fleet.by_service[service.name] = [
                Container(service, index, service.version, rng.choice(fleet.servers))
                for index in range(service.replicas)
            ]
        for container in fleet.containers():
            container.start(rng, now_unix_nano - rng.randrange(3_600, 864_000) * 10**9)
        busy = sum(service.replicas for service in SERVICES)
        fleet.others = [make_other(index, rng, fleet.servers) for index in range(CONTAINERS - busy)]
        fleet.jobs = [make_job(index, rng, fleet.servers) for index in range(JOBS)]
        return fleet

    def containers(self) -> Iterator[Container]:
        for replicas in self.by_service.values():
            yield from replicas

    def pick(self, service: str) -> Container:
        """The replica that takes the next request."""
        replicas = self.by_service[service]
        return replicas[int(self.rng.random() * len(replicas))]

    def deploy(self, service: str, version: str, share: float, now_unix_nano: int) -> None:
        """Brings `service` to `version` on the first `share` of its replicas; those already there keep running."""
        replicas = self.by_service[service]
        for container in replicas[: round(share * len(replicas))]:
            if container.version != version:
                container.version = version
                container.start(self.rng, now_unix_nano)


def make_server(index: int, rng: Random) -> Server:
    name = f"node-{index:03d}.shop.internal"
    zone = ZONES[index % len(ZONES)]
    described: dict[str, Value] = {
        "service.name": "host-agent",
        "service.version": "0.120.0",
        "service.instance.id": name,
        "host.name": name,
        "host.id": f"i-{rng.getrandbits(68):017x}",
        "host.type": rng.choice(("m7i.4xlarge", "m7i.8xlarge", "r7i.4xlarge")),
        "host.arch": "amd64",
        "os.type": "linux",
        "os.version": "6.12.9",
        "cloud.provider": "aws",
        "cloud.region": REGION,
        "cloud.availability_zone": zone,
        "k8s.cluster.name": "shop-prod",
        "deployment.environment.name": "production",
    }
    return Server(name, zone, attributes(1, described))


def make_other(index: int, rng: Random, servers: list[Server]) -> tuple[str, bytes]:
    """A container beside the shop: ingress, DNS, caches, databases, agents."""
    kind = ("redis", "postgres", "kafka", "ingress", "coredns", "log-agent", "node-exporter", "ci-runner")[index % 8]
    pod = f"{kind}-{rng.getrandbits(20):05x}"
    server = rng.choice(servers)
    described: dict[str, Value] = {
        "service.name": kind,
        "service.namespace": "platform",
        "service.instance.id": pod,
        "k8s.cluster.name": "shop-prod",
        "k8s.namespace.name": "platform",
        "k8s.pod.name": pod,
        "k8s.node.name": server.name,
        "container.id": f"{rng.getrandbits(256):064x}",
        "container.image.name": f"registry.shop.example/{kind}",
        "host.name": server.name,
        "deployment.environment.name": "production",
    }
    return pod, attributes(1, described)


def make_job(index: int, rng: Random, servers: list[Server]) -> Job:
    verb = ("sync", "rebuild", "expire", "report", "export", "verify", "compact", "bill", "reprice", "train")[
        index % 10
    ]
    noun = ("prices", "stock", "invoices", "sessions", "images", "search-index", "ratings", "coupons")[index // 10 % 8]
    name = f"{verb}-{noun}-{index:03d}"
    described: dict[str, Value] = {
        "service.name": "jobs",
        "service.namespace": "shop",
        "service.version": "7.3.0",
        "service.instance.id": f"{name}-{rng.getrandbits(20):05x}",
        "deployment.environment.name": "production",
        "k8s.cluster.name": "shop-prod",
        "k8s.namespace.name": "jobs",
        "k8s.cronjob.name": name,
        "k8s.job.name": f"{name}-{rng.randrange(28_000_000, 29_000_000)}",
        "k8s.node.name": rng.choice(servers).name,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": SDK_VERSIONS["python"],
    }
    return Job(name, attributes(1, described))


def next_version(version: str) -> str:
    """The next patch version: 2.4.0 -> 2.4.1."""
    head, _, patch = version.rpartition(".")
    return f"{head}.{int(patch) + 1}"
