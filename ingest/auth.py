"""Who sends, and to which tenant: bearer tokens, or nothing at all on a machine of one's own."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sonde.ingest.config import IngestConfig
from sonde.ingest.errors import Unauthenticated
from sonde.ingest.spool_folder import TENANT

DEFAULT_TENANT = "default"
TENANT_HEADER = "x-sonde-tenant"


SHORTEST_SECRET = 8


class Authenticator:
    """Says whose data a request carries. Thread-safe: nothing changes after construction.

    With tokens: `Authorization: Bearer SECRET` names the tenant, and an X-Sonde-Tenant header must agree with it.
    Without: everything is `default`. The header then only counts where the configuration says that a proxy sets it;
    elsewhere a request that carries it is refused, because data stored for the wrong tenant can't be moved.
    """

    def __init__(self, tokens: Iterable[tuple[str, str]] = (), *, trust_tenant_header: bool = False) -> None:
        # Looked up by a digest under a key of this process: how long a lookup takes then says nothing about a secret.
        self._key = os.urandom(32)
        self._tenants: dict[bytes, str] = {self._digest(secret.encode()): tenant for tenant, secret in tokens}
        self._trust_tenant_header = trust_tenant_header

    @classmethod
    def from_config(cls, config: IngestConfig) -> Authenticator:
        """ValueError, naming the setting, where a token can't be used."""
        return cls(read_tokens(config), trust_tenant_header=config.trust_tenant_header)

    @property
    def open(self) -> bool:
        """True where anybody may send."""
        return not self._tenants

    def tenant(self, authorization: str, tenant_header: str) -> str:
        """The tenant of a request with these two headers ("" where absent). Unauthenticated where there is none."""
        if self._tenants:
            return self._tenant_of_token(authorization, tenant_header)
        if not tenant_header:
            return DEFAULT_TENANT
        if not self._trust_tenant_header:
            raise Unauthenticated(
                "this sonde takes no X-Sonde-Tenant header: leave it out (data go to the tenant `default`), set tokens, or set "
                "trust_tenant_header where a proxy is the only one who sets it"
            )
        if not TENANT.fullmatch(tenant_header):
            raise Unauthenticated(
                "X-Sonde-Tenant must be 1 to 64 letters, digits, `_`, `.`, `-`, the first a letter or digit"
            )
        return tenant_header

    def _tenant_of_token(self, authorization: str, tenant_header: str) -> str:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthenticated("a token is needed: send the header `authorization: Bearer SECRET`")
        digest = self._digest(secret.strip().encode())
        tenant = self._tenants.get(digest)
        if tenant is None:
            raise Unauthenticated("the token is not known here: check the secret after `Bearer`")
        if tenant_header and tenant_header != tenant:
            raise Unauthenticated("X-Sonde-Tenant is not the tenant of this token: leave the header out")
        return tenant

    def _digest(self, secret: bytes) -> bytes:
        return hmac.digest(self._key, secret, hashlib.sha256)


def read_tokens(config: IngestConfig) -> list[tuple[str, str]]:
    """(tenant, secret) from `tokens` and `tokens_file`. ValueError names the setting; it never repeats a secret."""
    found = [_token(text, f"tokens, entry {number}") for number, text in enumerate(config.tokens, 1)]
    if config.tokens_file:
        found += list(_tokens_in(Path(config.tokens_file).expanduser()))
        if not found:
            raise ValueError(f"tokens_file {config.tokens_file} holds no tokens: write one TENANT=SECRET a line")
    owners: dict[str, str] = {}
    for tenant, secret in found:
        if owners.setdefault(secret, tenant) != tenant:
            raise ValueError(f"tokens: the tenants {owners[secret]} and {tenant} have the same secret")
    return found


def _tokens_in(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"tokens_file {path} can't be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if (text := line.strip()) and not text.startswith("#"):
            yield _token(text, f"tokens_file {path}, line {number}")


def _token(text: str, where: str) -> tuple[str, str]:
    tenant, equals, secret = text.partition("=")
    tenant, secret = tenant.strip(), secret.strip()
    if not equals or not TENANT.fullmatch(tenant):
        raise ValueError(f"{where}: write TENANT=SECRET; a tenant is letters, digits, `_`, `.` and `-`, at most 64")
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"{where}: the secret of {tenant} is shorter than {SHORTEST_SECRET} characters")
    return tenant, secret
