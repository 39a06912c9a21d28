"""Which addresses may be called, in every spelling, and that the socket itself is held to it."""

import ipaddress
import socket
from contextlib import nullcontext

import pytest

from services.kit.http.outbound import OutboundGuard, OutboundRefused, parse_networks

OPEN = OutboundGuard()
OFFICE = OutboundGuard(parse_networks("10.20.0.0/16, fd00::/8, 127.0.0.0/8"))

INWARDS = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255
    192.0.0.8 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
    239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: fc00::1 fd00:ec2::254 fe80::1 fec0::1
    ff02::1 ::127.0.0.1 3fff::1 5f00::1
"""
OUTWARDS = """
    1.1.1.1 8.8.8.8 93.184.216.34 172.15.0.1 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450::1
"""


@pytest.mark.parametrize("address", INWARDS.split())
def test_no_address_of_a_machine_or_its_network_is_connected_to(address: str) -> None:
    with pytest.raises(OutboundRefused, match="TACTFUL_OUTBOUND__NETWORKS"):
        OPEN.check_address(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(OutboundRefused):
        OPEN.check_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", OUTWARDS.split())
def test_addresses_of_the_internet_may_be_called_with_tls(address: str) -> None:
    OPEN.check_address(ipaddress.ip_address(address))
    with pytest.raises(OutboundRefused):
        OFFICE.check_address(ipaddress.ip_address(address), plain=True)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.0.1.", "0xa9fea9fe"])
def test_other_spellings_are_the_same_address(host: str) -> None:
    with pytest.raises(OutboundRefused):
        OPEN.check_url(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "file:///etc/passwd", "gopher://example.org", "https:///path", "https://", "hooks", ""),
        *(
            "https://user@example.org/",
            "https://user:pass@example.org/",
            "https://example.org/\r\nx",
            "https://a b.org/",
        ),
        *("https://example.org/#part", "https://example.org\\@10.0.0.1/", "http://example.org/", "http://localhost/"),
        *("https://example.org:0/", "https://example.org:22/", "https://example.org:25/", "https://example.org:99999/"),
        *("https://example.org:465/", "https://example.org:port/"),
    ],
)
def test_only_https_to_a_port_of_the_web_may_be_called(url: str) -> None:
    with pytest.raises(ValueError):
        OPEN.check_url(url)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.org/a?b=c", "https://example.org:8443/", "https://1.1.1.1:443/"]
)
def test_what_is_usual_may_be_called(url: str) -> None:
    OPEN.check_url(url)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://10.20.1.1:8080/", True),
        ("https://10.20.1.1/", True),
        ("http://hooks.office/", True),  # looked at when the name has been resolved
        ("http://127.0.0.1:9000/", True),
        ("https://[fd00::1]/", True),
        ("http://10.21.1.1/", False),
        ("https://10.21.1.1/", False),
        ("http://1.1.1.1/", False),
        ("http://10.20.1.1:22/", False),
    ],
)
def test_networks_of_ones_own_are_allowed_by_name(url: str, good: bool) -> None:
    with nullcontext() if good else pytest.raises((ValueError, OutboundRefused)):
        OFFICE.check_url(url)


def test_the_socket_is_opened_only_to_an_address_that_was_looked_at() -> None:
    def info(address: str) -> tuple[object, ...]:
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))

    with pytest.raises(OutboundRefused):
        OPEN.socket_factory(plain=False)(info("127.0.0.1"))
    with pytest.raises(OutboundRefused):
        OFFICE.socket_factory(plain=True)(info("1.1.1.1"))
    with OFFICE.socket_factory(plain=True)(info("127.0.0.1")) as opened:
        assert opened.family == socket.AF_INET


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.org", "10.0.0.0/33", "10.0.0.0/8;10.1.0.0/16"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        parse_networks(text)
