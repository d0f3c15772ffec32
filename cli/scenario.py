"""What happens to the shop over time: deployments all day, one of them bad, and its rollback."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sonde.cli.fleet import DEPLOYMENTS_A_DAY, SERVICES, Fleet, next_version
from sonde.cli.shop_traces import Fault, Walker

SECOND = 1_000_000_000
DEPLOYMENT_EVERY = 86_400 * SECOND // DEPLOYMENTS_A_DAY
BAD_SERVICE = "checkout"
BAD_FAULT = Fault(error_share=0.35, slowdown=6.0)
BAD_FROM, BAD_EVERYWHERE, BAD_UNTIL = 0.40, 0.45, 0.65
"""Shares of the period: the roll-out begins, it has reached every replica, it is rolled back."""


@dataclass(slots=True)
class Scenario:
    """Moves the fleet through a period of `period` ns that repeats from `start` on. Call `advance` with rising times."""

    walker: Walker
    rng: Random
    start: int
    period: int
    good_version: str = ""
    bad_version: str = ""
    next_deployment: int = 0
    event: str = "all is well"

    @property
    def fleet(self) -> Fleet:
        return self.walker.fleet

    def tell(self, words: str, service: str, version: str, now: int) -> None:
        self.event = f"{words} {service} {version}"
        self.walker.announce_deployment(service, version, words, now)

    def advance(self, now: int) -> None:
        """Deploys what is due by `now` (Unix ns) and says in `event` what is going on."""
        self.deploy_due(now)
        share = (now - self.start) % self.period / self.period
        if BAD_FROM <= share < BAD_UNTIL:
            self.roll_out((share - BAD_FROM) / (BAD_EVERYWHERE - BAD_FROM), now)
        elif self.bad_version:
            self.roll_back(now)

    def deploy_due(self, now: int) -> None:
        """An ordinary deployment every ten minutes or so; it does no harm."""
        if not self.next_deployment:
            self.next_deployment = self.start + DEPLOYMENT_EVERY // 2
        while self.next_deployment <= now:
            service = self.rng.choice([service for service in SERVICES if service.name != BAD_SERVICE]).name
            version = next_version(self.fleet.by_service[service][0].version)
            self.fleet.deploy(service, version, 1.0, self.next_deployment)
            self.tell("deployed", service, version, self.next_deployment)
            self.next_deployment += DEPLOYMENT_EVERY

    def roll_out(self, share: float, now: int) -> None:
        if not self.bad_version:
            self.good_version = self.fleet.by_service[BAD_SERVICE][-1].version
            self.bad_version = next_version(self.good_version)
            self.walker.faults[BAD_SERVICE, self.bad_version] = BAD_FAULT
            self.tell("bad deployment of", BAD_SERVICE, self.bad_version, now)
        self.fleet.deploy(BAD_SERVICE, self.bad_version, min(1.0, max(share, 0.1)), now)

    def roll_back(self, now: int) -> None:
        self.fleet.deploy(BAD_SERVICE, self.good_version, 1.0, now)
        self.tell("rolled back to", BAD_SERVICE, self.good_version, now)
        self.bad_version = ""
