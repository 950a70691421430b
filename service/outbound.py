"""Posts to addresses that users named, without being led into the operator's own network.

A user names a webhook's URL, and this machine connects to it. Left unguarded, that reaches what
only this machine can reach: services on loopback, the private network, a cloud's metadata. So a
name is resolved once, every address of it is checked, and the connection goes to the very address
that was checked: a second answer of the name server (DNS rebinding) is never asked for.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

import httpx

from autokd.errors import AutokdError

_LONGEST_URL = 2048
_LONGEST_NAME = 253
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_DEFAULT_PORTS = {"http": 80, "https": 443}

# After the IANA registries of special-purpose addresses. The first kind that fits names an address.
_SPECIAL = {
    kind: tuple(map(ip_network, networks))
    for kind, networks in {
        "cloud metadata": (
            "100.100.100.200/32",
            "168.63.129.16/32",
            "169.254.169.254/32",
            "192.0.0.192/32",
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
        ),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
        "carrier-grade NAT": ("100.64.0.0/10",),
        "unspecified": ("0.0.0.0/8", "::/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        # Whatever IPv4 address they hold: compatible, mapped, translated, NAT64, Teredo, 6to4.
        "IPv4-in-IPv6": (
            "::/96",
            "::ffff:0:0/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
        ),
        "reserved": (
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
        ),
    }.items()
}
_WHY = {
    "cloud metadata": "of a cloud's metadata service",
    "loopback": "of this machine itself (loopback)",
    "private": "of a private network",
    "carrier-grade NAT": "of a network behind carrier-grade NAT",
    "unspecified": "that is unspecified",
    "link-local": "of the local link",
    "multicast": "that is multicast",
    "IPv4-in-IPv6": "of IPv6 that holds one of IPv4",
    "reserved": "that is reserved",
}
"""What is said of an address by its kind."""

_PUBLIC_IPV6 = ip_network("2000::/3")
_INTRANET = frozenset({"loopback", "private", "carrier-grade NAT"})


class OutboundError(AutokdError):
    """A message did not reach the address that a user named."""


class UrlRefusedError(OutboundError, ValueError):
    """The URL, or an address that its host has, is not one that this service connects to."""

    exit_code = 2


class UnreachableError(OutboundError):
    """The host has no address, refused the connection, is not who it should be or was too slow."""


@dataclass(frozen=True)
class Target:
    """A URL that may be posted to, if its host's addresses may be connected to.

    Attributes:
        url: as httpx reads it.
        host: name or address, in lower case, without brackets and final dot.
        trusted: the operator's allowlist names it.
    """

    url: httpx.URL
    host: str
    trusted: bool


async def resolve(host: str) -> list[str]:
    """All addresses of a host, in the order in which they are best tried.

    Raises:
        OSError: there is no such host.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Outbound:
    """The one way in which this service connects to what a user named.

    Attributes:
        allow: hosts of the operator's choice, `host` or `host:port` (an IPv6 address in brackets).
            They may be spoken to by http, and be on loopback or in a private network; `host` by
            port 80 and `ports`, `host:port` by that port too.
        ports: open to all other hosts, by https only.
        seconds: from looking up the name to the status of the answer.
        resolve: the addresses of a host.
        context: which certificates are believed.
    """

    allow: Collection[str] = frozenset()
    ports: Collection[int] = frozenset({443})
    seconds: float = 10.0
    resolve: Callable[[str], Awaitable[list[str]]] = resolve
    context: ssl.SSLContext = field(default_factory=httpx.create_ssl_context, repr=False)

    def check(self, url: str) -> Target:
        """What a URL names, without looking its host up.

        Raises:
            UrlRefusedError: it is no such URL as may be posted to.
        """
        if len(url) > _LONGEST_URL:
            raise UrlRefusedError(
                f"expected a URL of at most {_LONGEST_URL} characters, got {len(url)}"
            )
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UrlRefusedError(f"expected a URL such as https://host/path: {error}") from error
        if parsed.userinfo or "\\" in url:
            raise UrlRefusedError(
                "expected a URL without user name, password and backslash",
                hint="receivers know a delivery by its signature",
            )
        host = parsed.host.removesuffix(".")
        bracketed = f"[{host}]" if ":" in host else host
        port = _DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
        allowed = {entry.lower() for entry in self.allow}
        exact = f"{bracketed}:{port}" in allowed
        trusted = exact or bracketed in allowed
        if parsed.scheme not in (("http", "https") if trusted else ("https",)):
            raise UrlRefusedError(
                f"expected a URL that begins with https://, got {parsed.scheme or 'no'!r} scheme",
                hint="the operator can allow http to a host of the intranet: AUTOKD_WEBHOOK_HOSTS",
            )
        if not exact and port not in self.ports and not (trusted and port == 80):
            raise UrlRefusedError(
                f"expected port {' or '.join(map(str, sorted(self.ports)))}, got {port}",
                hint="the operator can allow another port of a host: AUTOKD_WEBHOOK_HOSTS",
            )
        is_name = len(host) <= _LONGEST_NAME and _NAME.fullmatch(host)
        if not is_name and not _is_address(host):
            raise UrlRefusedError(f"expected the name of a host, got {host[:_LONGEST_NAME]!r}")
        address = _spelled_address(host)
        if address is not None:
            _check_addresses(host, [address], trusted)
        return Target(parsed, host, trusted)

    async def addresses(self, target: Target) -> list[str]:
        """The addresses of a target's host, all of which may be connected to.

        Raises:
            UrlRefusedError: one of them may not.
            UnreachableError: it has none.
        """
        if _is_address(target.host):
            return [target.host]
        try:
            addresses = await self.resolve(target.host)
        except OSError as error:
            raise UnreachableError(f"there is no host {target.host!r}") from error
        _check_addresses(target.host, addresses, target.trusted)
        return addresses

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Posts `body`; the HTTP status of the answer, whose body is never read.

        Redirects are not followed: 3xx is an answer like any other. Proxies and passwords of the
        environment (HTTPS_PROXY, .netrc) are not used.

        Raises:
            UrlRefusedError: the URL or an address of its host may not be connected to.
            UnreachableError: nothing answered in time.
        """
        target = self.check(url)
        try:
            async with asyncio.timeout(self.seconds):
                return await self._post(target, body, headers)
        except TimeoutError as error:
            raise UnreachableError(
                f"{target.host} did not answer within {self.seconds:g} seconds"
            ) from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"{target.host} could not be reached: {reason}") from error

    async def _post(self, target: Target, body: bytes, headers: Mapping[str, str]) -> int:
        failure: Exception = UnreachableError(f"the host {target.host!r} has no address")
        for address in await self.addresses(target):
            try:
                return await self._post_to(address, target, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error  # nothing was sent: the next address gets its turn
        raise failure

    async def _post_to(
        self, address: str, target: Target, body: bytes, headers: Mapping[str, str]
    ) -> int:
        complete = httpx.Headers({"User-Agent": "autokd", **headers})
        complete["Host"] = target.url.netloc.decode("ascii")
        complete["Connection"] = "close"
        # A client of its own, because pooled connections are kept by address: one whose certificate
        # was checked for another host of the same address must not be used for this one.
        async with httpx.AsyncClient(
            verify=self.context,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self.seconds, connect=self.seconds / 3),
        ) as client:
            request = client.build_request(
                "POST",
                target.url.copy_with(host=address),
                content=body,
                headers=complete,
                extensions={"sni_hostname": target.host},
            )
            response = await client.send(request, stream=True)
            await response.aclose()
            return response.status_code


def kind_of(address: str) -> str | None:
    """What is special about an IP address (`private`, `loopback`, …); None for a public one."""
    parsed = ip_address(address)
    for kind, networks in _SPECIAL.items():
        if any(parsed in network for network in networks):
            return kind
    return "reserved" if isinstance(parsed, IPv6Address) and parsed not in _PUBLIC_IPV6 else None


def _check_addresses(host: str, addresses: list[str], trusted: bool) -> None:
    for kind in map(kind_of, addresses):
        if kind and not (trusted and kind in _INTRANET):
            # Without the address: the one who asks may be mapping the operator's network.
            verb = "is" if _is_address(host) else "has"
            raise UrlRefusedError(
                f"expected a host with public addresses, but {host} {verb} an address {_WHY[kind]}",
                hint="the operator can allow a host of the intranet: AUTOKD_WEBHOOK_HOSTS"
                if kind in _INTRANET
                else "the operator can allow no such address",
            )


def _spelled_address(host: str) -> str | None:
    """The address that a host has whoever is asked for it; None: that takes a name server."""
    if _is_address(host):
        return host
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # `127.1`, `0x7f.1`, `2130706433`
    except OSError:
        return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # an IPv6 zone means a link of this very machine
