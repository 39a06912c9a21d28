"""The one guard of every address that this product connects to because a setting or a document names it.

A URL that somebody can choose must not reach what only this machine or its network can: the metadata of a cloud, a
database, a service without a password. The guard looks twice: at the URL when it is read, and at the very address of
each connection, after the name has been resolved. So neither another spelling of an address nor a name whose answer
changes gets round it.

The list of refused networks is our own: `ipaddress.is_global` holds NAT64, 6to4 and multicast for global. It follows
the special-purpose registries of IANA (RFC 6890). What an installation needs within its own network is allowed by
`TACTFUL_OUTBOUND__NETWORKS`.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
SocketFactory = Callable[[Any], socket.socket]

_REFUSED_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""The only range of IPv6 from which addresses of the internet are given out."""
_REFUSED_V6: Final = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
_LOWEST_FREE_PORT: Final = 1024
_WEB_PORTS: Final = (80, 443)


class OutboundRefused(OSError):
    """The address is none that may be connected to. An OSError, because it ends a connection before its first byte."""


def parse_networks(text: str) -> tuple[IpNetwork, ...]:
    """The networks of a list such as `10.20.0.0/16, fd00::/8`. Raises ValueError, which names the wrong one."""
    networks = []
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError:
            raise ValueError(f"`{each}` is no network: write 10.20.0.0/16, or 10.20.0.7/32 for one address") from None
    return tuple(networks)


class OutboundGuard:
    """Which addresses may be connected to: those of the internet, and those of `networks`."""

    def __init__(self, networks: Iterable[IpNetwork] = ()) -> None:
        self._networks = tuple(networks)

    def check_url(self, url: str) -> None:
        """Raises ValueError unless this is an https URL to a host that may be connected to.

        Plain http is for allowed networks alone. A host that is a name is looked at when it has been resolved.
        """
        parts = urlsplit(url)
        if any(ord(each) <= 32 or ord(each) == 127 for each in url) or "\\" in url or parts.fragment:
            raise ValueError("a URL to call has no blanks, no backslash and no fragment")
        if not parts.hostname:
            raise ValueError("a URL to call is absolute: https://host/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL to call holds no user name or password")
        address = _literal_address(parts.hostname)
        if parts.scheme not in ("https", "http"):
            raise ValueError("a URL to call starts with https://")
        if parts.scheme == "http" and not self._may_be_plain(address):
            raise ValueError(
                "a URL to call starts with https://; http:// is for addresses of TACTFUL_OUTBOUND__NETWORKS"
            )
        port = parts.port
        if port is not None and port not in _WEB_PORTS and port < _LOWEST_FREE_PORT:
            raise ValueError(f"port {port} is of another protocol: use 443, 80 or one from {_LOWEST_FREE_PORT}")
        if address is not None:
            self.check_address(address)

    def check_address(self, address: IpAddress, *, plain: bool = False) -> None:
        """Raises OutboundRefused unless this address may be connected to; without TLS (`plain`) only an allowed one."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not self._is_allowed(address) and (plain or _is_refused(address)):
            raise OutboundRefused(
                f"{address} is an address that is not called from here; TACTFUL_OUTBOUND__NETWORKS allows networks"
            )

    def socket_factory(self, *, plain: bool) -> SocketFactory:
        """What opens the sockets of a connector: it looks at the address that is connected to, and pins it."""

        def open_socket(address_info: Sequence[Any]) -> socket.socket:
            family, kind, protocol, _, address = address_info
            self.check_address(ipaddress.ip_address(address[0].partition("%")[0]), plain=plain)
            return socket.socket(family=family, type=kind, proto=protocol)

        return open_socket

    def _may_be_plain(self, address: IpAddress | None) -> bool:
        """Whether http is possible: a name shows only when it is connected to where it leads."""
        return bool(self._networks) if address is None else self._is_allowed(address)

    def _is_allowed(self, address: IpAddress) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def _literal_address(host: str) -> IpAddress | None:
    """The address that a host spells, also in the forms that the C library takes: 0x7f.1, 2130706433, 0177.0.0.1."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def _is_refused(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _REFUSED_V4)
    return address not in _GLOBAL_V6 or any(address in network for network in _REFUSED_V6)
