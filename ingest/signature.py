"""What a process of this start of sonde vouches for in a frame: signed with a key that is drawn at the start and written nowhere.

Who can write to the spool folder can make any frame with a right checksum, but none with a right signature.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2b

SIGNATURE_BYTES = 16

_key = secrets.token_bytes(32)


def key() -> str:
    """The key, for the processes that this one starts."""
    return _key.hex()


def adopt_key(text: str) -> None:
    """Sign with the key of the process that started this one."""
    global _key
    _key = bytes.fromhex(text)


def signed(claim: bytes, identity: bytes, body_length: int) -> bytes:
    """`claim` behind its signature, which holds for the body of this identity and length alone."""
    digest = blake2b(identity, key=_key, digest_size=SIGNATURE_BYTES)
    digest.update(body_length.to_bytes(8, "little"))
    digest.update(claim)
    return digest.digest() + claim


def claim_of(signed_claim: bytes, identity: bytes, body_length: int) -> bytes | None:
    """The claim, or None where the signature is not ours or not of this body."""
    claim = signed_claim[SIGNATURE_BYTES:]
    return claim if hmac.compare_digest(signed(claim, identity, body_length), signed_claim) else None
