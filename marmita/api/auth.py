"""Keys for the routes that change something."""

import hmac
import logging
from collections.abc import Sequence
from ipaddress import ip_address

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call

_SCHEME = "bearer"

log = logging.getLogger(__name__)


class ApiKeys:
    """The keys in force. Several at once let callers move from an old one to a new one."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def check(self, call: Call) -> None:
        """Reject a call that has none of them. How long that takes says nothing about how much of a key was right."""
        if not self._keys:
            return
        scheme, _, said = call.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = said.strip().encode()
        right = [hmac.compare_digest(given, key) for key in self._keys]
        if scheme.lower() != _SCHEME or not any(right):
            said = "this needs a key: send `Authorization: Bearer <key>`"
            raise RequestError(ErrorCode.UNAUTHORIZED, said, headers=((b"www-authenticate", b"Bearer"),))

    def warn_if_open(self, addresses: Sequence[str]) -> None:
        """Say so if anybody who can reach these addresses may change something."""
        public = [address for address in addresses if not ip_address(address).is_loopback]
        if public and not self._keys:
            log.warning(
                "anyone who reaches %s may use the routes that change something: set MARMITA_API_KEYS to ask for a key",
                ", ".join(sorted(set(public))),
            )
