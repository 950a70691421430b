"""Nothing that a user names leads into the operator's network."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.outbound import Outbound, UnreachableError, UrlRefusedError, kind_of

_NAME = "hooks.example"
_OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receiver:
    """A server on loopback.

    Attributes:
        port: where it listens.
        requests: heads and bodies as they came.
        names: that TLS clients asked for.
    """

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def receiver(
    answer: bytes = _OK, *, context: ssl.SSLContext | None = None, endless: bool = False
) -> AsyncIterator[Receiver]:
    state = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            state.requests.append(head + await reader.readexactly(length))
            writer.write(answer)
            while endless:
                writer.write(b"x" * 65536)
                await writer.drain()
            await writer.drain()
            if not answer:
                await reader.read()  # says nothing until the other side gives up
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    if context is not None:
        context.sni_callback = lambda _socket, name, _context: state.names.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    state.port = server.sockets[0].getsockname()[1]
    async with server:
        yield state


def answering(*addresses: str) -> Callable[[str], Awaitable[list[str]]]:
    async def resolve(_host: str) -> list[str]:
        return list(addresses)

    return resolve


def posted(
    outbound: Callable[[Receiver], Outbound],
    url: str,
    *,
    answer: bytes = _OK,
    context: ssl.SSLContext | None = None,
    endless: bool = False,
) -> tuple[int, Receiver]:
    """The status of a post to `url` (`{port}` is the receiver's), and what the receiver saw."""

    async def run() -> tuple[int, Receiver]:
        async with receiver(answer, context=context, endless=endless) as state:
            target = url.format(port=state.port)
            headers = {"Webhook-Id": "msg_1", "host": "elsewhere"}
            return await outbound(state).post(target, b"body", headers), state

    return asyncio.run(run())


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server that is `name` and of a client that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + built.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("fd12:3456::1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("169.254.169.254", "cloud metadata"),
        ("fd00:ec2::254", "cloud metadata"),
        ("168.63.129.16", "cloud metadata"),
        ("100.100.100.200", "cloud metadata"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("255.255.255.255", "reserved"),
        ("198.18.0.1", "reserved"),
        ("203.0.113.9", "reserved"),
        ("2001:db8::1", "reserved"),
        ("fec0::1", "reserved"),
        ("::127.0.0.1", "IPv4-in-IPv6"),
        ("::ffff:127.0.0.1", "IPv4-in-IPv6"),
        ("::ffff:8.8.8.8", "IPv4-in-IPv6"),
        ("64:ff9b::a00:1", "IPv4-in-IPv6"),
        ("64:ff9b::808:808", "IPv4-in-IPv6"),
        ("64:ff9b:1::a00:1", "IPv4-in-IPv6"),
        ("2002:a00:1::1", "IPv4-in-IPv6"),
        ("2002:808:808::1", "IPv4-in-IPv6"),
        ("2001:0:808:808::1", "IPv4-in-IPv6"),
        ("8.8.8.8", None),
        ("172.32.0.1", None),
        ("100.128.0.1", None),
        ("2606:4700:4700::1111", None),
        ("2a00:1450:4001:81b::200e", None),
    ],
)
def test_what_is_special_about_an_address(address: str, kind: str | None) -> None:
    assert kind_of(address) == kind


@given(st.ip_addresses())
def test_what_counts_as_public_is_global_unicast(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if kind_of(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "//hooks.example/",
        "https://",
        "https:/hooks.example",
        "http://hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "gopher://hooks.example:443/_x",
        "javascript:alert(1)",
        "https://user@hooks.example/",
        "https://user:password@hooks.example/",
        "https://hooks.example\\@evil.example/",
        "https://hooks.example:80/",
        "https://hooks.example:22/",
        "https://hooks.example:0/",
        "https://hooks.example:99999999/",
        "https://hooks%2eexample/",
        "https://hooks..example/",
        "https://hooks example/",
        "https://hooks.example\r\nX: y/",
        "https://hooks.exam\x00ple/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2606:4700:4700::1111%25eth0]/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 130}example/",
        f"https://hooks.example/{'a' * 2048}",
    ],
)
def test_a_url_that_is_not_https_to_a_public_host_is_refused(url: str) -> None:
    with pytest.raises(UrlRefusedError):
        Outbound().check(url)


@given(st.text() | st.builds("https://{}".format, st.text()))
def test_no_text_makes_the_check_fail_otherwise(url: str) -> None:
    try:
        Outbound(context=_CONTEXT).check(url)
    except UrlRefusedError:
        pass


_CONTEXT = ssl.create_default_context()


@pytest.mark.parametrize(
    ("allow", "url", "trusted"),
    [
        ((), "https://hooks.example/a?b=c", False),
        ((), "https://hooks.example:443/", False),
        ((), "https://HOOKS.example./", False),
        ((), "https://8.8.8.8/", False),
        (("Hooks.lan",), "http://hooks.lan/", True),
        (("hooks.lan",), "https://hooks.lan/", True),
        (("hooks.lan:8080",), "http://hooks.lan:8080/", True),
        (("127.0.0.1:9000",), "http://127.0.0.1:9000/", True),
        (("[::1]:9000",), "http://[::1]:9000/", True),
        (("10.0.0.7",), "https://10.0.0.7/", True),
    ],
)
def test_a_url_that_may_be_posted_to(allow: Collection[str], url: str, trusted: bool) -> None:
    assert Outbound(allow).check(url).trusted is trusted


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        (("hooks.lan:8080",), "http://hooks.lan/"),
        (("hooks.lan:8080",), "http://hooks.lan:8081/"),
        (("hooks.lan",), "http://hooks.lan:8080/"),
        (("hooks.lan",), "http://evil.hooks.lan/"),
        (("hooks.lan",), "http://hooks.lan.evil.example/"),
        (("hooks.lan",), "ftp://hooks.lan/"),
        (("169.254.169.254",), "http://169.254.169.254/"),
        (("[::ffff:127.0.0.1]",), "http://[::ffff:127.0.0.1]/"),
        (("0.0.0.0",), "http://0.0.0.0/"),
    ],
)
def test_the_allowlist_opens_no_more_than_it_names(allow: Collection[str], url: str) -> None:
    with pytest.raises(UrlRefusedError):
        Outbound(allow).check(url)


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["2606:4700:4700::1111", "::ffff:192.168.1.1"]],
)
def test_one_address_that_is_not_public_refuses_the_host(addresses: list[str]) -> None:
    outbound = Outbound(resolve=answering(*addresses))
    with pytest.raises(UrlRefusedError) as caught:
        asyncio.run(outbound.post("https://hooks.example/", b"", {}))
    assert not any(address in str(caught.value) for address in addresses)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "localhost", "a.localhost"])
def test_what_every_resolver_takes_for_loopback_is_refused_before_it_is_asked(host: str) -> None:
    with pytest.raises(UrlRefusedError, match="loopback"):
        Outbound().check(f"https://{host}/")
    assert Outbound([host]).check(f"http://{host}/").trusted


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("0.0.0.0", "0.0.0.0 is an address that is unspecified"),
        ("169.254.169.254", "169.254.169.254 is an address of a cloud's metadata service"),
        ("[::ffff:8.8.8.8]", "::ffff:8.8.8.8 is an address of IPv6 that holds one of IPv4"),
        ("0x0a.1", "0x0a.1 has an address of a private network"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_in_words(host: str, words: str) -> None:
    with pytest.raises(UrlRefusedError) as caught:
        Outbound().check(f"https://{host}/")
    assert caught.value.message == f"expected a host with public addresses, but {words}"


def test_a_name_that_looks_like_an_address_and_is_none_is_a_name() -> None:
    for host in ("10.example", "1.2.3.4.example", "localhost.example", "0x7f.1.example"):
        assert Outbound().check(f"https://{host}/").host == host


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["fe80::1"], ["0.0.0.0"]])
def test_an_allowed_host_may_be_private_but_not_metadata(addresses: list[str]) -> None:
    outbound = Outbound(["hooks.lan"], resolve=answering(*addresses))
    with pytest.raises(UrlRefusedError):
        asyncio.run(outbound.post("http://hooks.lan/", b"", {}))


def test_a_post_brings_body_headers_and_host_to_the_address_that_was_checked() -> None:
    asked: list[str] = []

    def outbound(state: Receiver) -> Outbound:
        async def resolve(host: str) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]  # a rebinding name server

        return Outbound([f"{_NAME}:{state.port}"], resolve=resolve)

    status, seen = posted(outbound, f"http://{_NAME}:{{port}}/path?query=1")
    assert (status, asked) == (204, [_NAME])
    (request,) = seen.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *rest = head.lower().split(b"\r\n")
    assert first == b"post /path?query=1 http/1.1"
    assert [line for line in rest if line.startswith(b"host:")] == [
        f"host: {_NAME}:{seen.port}".encode()
    ]
    assert b"webhook-id: msg_1" in rest
    assert body == b"body"


def test_tls_asks_for_and_checks_the_host_name_not_the_address(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, _NAME)

    def outbound(state: Receiver) -> Outbound:
        allow = [f"{_NAME}:{state.port}"]
        return Outbound(allow, resolve=answering("127.0.0.1"), context=client)

    status, seen = posted(outbound, f"https://{_NAME}:{{port}}/", context=server)
    assert (status, seen.names) == (204, [_NAME])


def test_a_certificate_of_another_host_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "another.example")
    states: list[Receiver] = []

    def outbound(state: Receiver) -> Outbound:
        states.append(state)
        allow = [f"{_NAME}:{state.port}"]
        return Outbound(allow, resolve=answering("127.0.0.1"), context=client)

    with pytest.raises(UnreachableError, match="[Hh]ostname"):
        posted(outbound, f"https://{_NAME}:{{port}}/", context=server)
    assert states[0].requests == []


def _loopback(state: Receiver) -> Outbound:
    return Outbound([f"127.0.0.1:{state.port}"])


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    status, seen = posted(_loopback, "http://127.0.0.1:{port}/", answer=answer)
    assert status == 302
    assert len(seen.requests) == 1


def test_an_endless_answer_is_not_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    status, _ = posted(_loopback, "http://127.0.0.1:{port}/", answer=answer, endless=True)
    assert status == 200


def test_a_header_that_does_not_end_is_given_up() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX: "
    with pytest.raises(UnreachableError):
        posted(_loopback, "http://127.0.0.1:{port}/", answer=answer, endless=True)


def test_a_receiver_that_says_nothing_is_given_up() -> None:
    def outbound(state: Receiver) -> Outbound:
        return Outbound([f"127.0.0.1:{state.port}"], seconds=0.05)

    with pytest.raises(UnreachableError, match="within 0.05 seconds|could not be reached"):
        posted(outbound, "http://127.0.0.1:{port}/", answer=b"")


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    status, _ = posted(_loopback, "http://127.0.0.1:{port}/")
    assert status == 204


def test_the_next_address_gets_its_turn_if_one_does_not_answer() -> None:
    def outbound(state: Receiver) -> Outbound:
        # The receiver does not listen on the first.
        resolve = answering("127.0.0.77", "127.0.0.1")
        return Outbound([f"{_NAME}:{state.port}"], resolve=resolve)

    status, _ = posted(outbound, f"http://{_NAME}:{{port}}/")
    assert status == 204


def test_a_host_that_is_not_there_is_unreachable() -> None:
    async def nowhere(_host: str) -> list[str]:
        raise OSError("Name or service not known")

    for resolve in (nowhere, answering()):
        with pytest.raises(UnreachableError, match="hooks.example"):
            asyncio.run(Outbound(resolve=resolve).post("https://hooks.example/", b"", {}))


def test_the_time_limit_holds_from_the_look_up_on() -> None:
    async def never(_host: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    outbound = Outbound(resolve=never, seconds=0.01)
    with pytest.raises(UnreachableError, match=r"did not answer within 0\.01 seconds"):
        asyncio.run(outbound.post("https://hooks.example/", b"", {}))
