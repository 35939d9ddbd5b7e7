"""API keys, for the routes that change state."""

import hmac
import logging
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call

_SCHEME = "bearer"

log = logging.getLogger(__name__)


class ApiKeys:
    """The valid API keys. There may be several, so that callers can move from an old key to a new one."""

    def __init__(self, keys: Sequence[str], allows_origin: Callable[[str], bool] = lambda _: False) -> None:
        self._keys = [key.encode() for key in keys]
        self._allows_origin = allows_origin
        """Tells whether pages of an origin may use the service (CORS)."""

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

    def check_origin(self, call: Call) -> None:
        """Reject a form that a page of another origin sends, unless it needs a key, which such a page can't know.

        Browsers send forms to any address without a CORS preflight, with the user's access to the local network.
        """
        origin = call.headers.get(b"origin", b"").decode("latin-1")
        if self._keys or _is_same_origin(call, origin) or self._allows_origin(origin):
            return
        raise RequestError(ErrorCode.CROSS_ORIGIN, "pages of other origins may not send this form")

    def warn_if_open(self, addresses: Sequence[str]) -> None:
        """Log a warning if these addresses are reachable from outside and no key is set."""
        public = [address for address in addresses if not ip_address(address).is_loopback]
        if public and not self._keys:
            log.warning(
                "the routes that change state need no API key on %s: set MARMITA_API_KEYS",
                ", ".join(sorted(set(public))),
            )


def _is_same_origin(call: Call, origin: str) -> bool:
    """Tell whether a request comes from a page of this service, or from no page at all.

    Browsers say so in a header of its own, which counts also behind a proxy, but send it only to secure addresses.
    """
    site = call.headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    return not origin or urlsplit(origin).netloc.encode() == call.headers.get(b"host")
