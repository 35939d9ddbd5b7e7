"""API keys, for the routes that change state."""

import hmac
import logging
from collections.abc import Sequence
from ipaddress import ip_address

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call

_SCHEME = "bearer"

log = logging.getLogger(__name__)


class ApiKeys:
    """The valid API keys. There may be several, so that callers can move from an old key to a new one."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def check(self, call: Call) -> None:
        """Reject a call without a valid key. Keys are compared in constant time, which leaks no part of them."""
        if not self._keys:
            return
        scheme, _, credentials = call.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = credentials.strip().encode()
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if scheme.lower() != _SCHEME or not any(matches):
            message = "this needs a key: send `Authorization: Bearer <key>`"
            raise RequestError(ErrorCode.UNAUTHORIZED, message, headers=((b"www-authenticate", b"Bearer"),))

    def warn_if_open(self, addresses: Sequence[str]) -> None:
        """Log a warning if these addresses are reachable from outside and no key is set."""
        public = [address for address in addresses if not ip_address(address).is_loopback]
        if public and not self._keys:
            log.warning(
                "the routes that change state need no API key on %s: set MARMITA_API_KEYS",
                ", ".join(sorted(set(public))),
            )
