"""Images by URL, as bytes, for providers that take nothing else.

Whoever writes a message chooses the URL, so that what is fetched is bounded, and comes from the public internet alone:
the address is checked that is connected to, after each redirect anew, not a name that may mean another one next time.
"""

import asyncio
import base64
import binascii
import ipaddress
import socket
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from supercompat.errors import ProviderError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MEGABYTE = 1024 * 1024

#: How many images are fetched at once.
PARALLEL = 4

#: Characters of a URL in an error's text: one may hold a whole image.
LONGEST_SHOWN = 100

_REDIRECTS = {301, 302, 303, 307, 308}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNNAMED = {"", "application/octet-stream", "binary/octet-stream"}
_HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "supercompat"}

#: Characters that stay as they are in a URL that is meant to be one: `%` among them, of what is quoted already.
_IN_TARGETS = "/?&=%+,;:@!$'()*~-._[]"
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """`media_type` is such as `image/png`."""

    media_type: str
    data: bytes


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and leads nowhere else."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not is_public(inner):
            return False
    return address.is_global and not address.is_multicast


class ImageFetcher:
    """Args:
    enabled: whether images may be fetched at all; images in data URLs are always read.
    allows: which addresses may be connected to.
    max_bytes: the most that one image may have.
    max_total: the most that the images of one request may have together.
    timeout: seconds for one image, from the first lookup to the last byte.
    max_redirects: how many may be followed for one image.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        allows: Callable[[Address], bool] = is_public,
        max_bytes: int = 20 * MEGABYTE,
        max_total: int = 50 * MEGABYTE,
        timeout: float = 15.0,
        max_redirects: int = 3,
    ) -> None:
        self._enabled = enabled
        self._allows = allows
        self._max_bytes = max_bytes
        self._max_total = max_total
        self._timeout = timeout
        self._max_redirects = max_redirects

    async def images(self, urls: Iterable[str]) -> dict[str, Image]:
        """The images by their URLs, http(s) and data.

        Raises:
            ProviderError: `invalid_prompt`, status 400: one of them can't be had, or may not be.
        """
        wanted = dict.fromkeys(urls)
        images = {url: image_in_url(url) for url in wanted if url.startswith("data:")}
        remote = [url for url in wanted if url not in images]
        if remote and not self._enabled:
            raise _refused(remote[0], "this server fetches no images. Give it as a data URL.")
        if remote:
            images.update(await self._fetched(remote))
        return images

    async def _fetched(self, urls: list[str]) -> dict[str, Image]:
        library = _library()
        pool = library.AsyncConnectionPool(network_backend=_CheckedNetwork(library, self._allows))
        left = _Budget(self._max_total)
        free = asyncio.Semaphore(PARALLEL)

        async def one(url: str) -> Image:
            async with free:
                return await self._image(pool, url, left)

        async with pool:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = {url: group.create_task(one(url)) for url in urls}
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from None
        return {url: task.result() for url, task in tasks.items()}

    async def _image(self, pool: Any, url: str, left: "_Budget") -> Image:
        library = _library()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(pool, url, left)
        except TimeoutError:
            raise _refused(url, f"it took more than {self._timeout:g} seconds.") from None
        except ValueError:
            raise _refused(url, "it is no URL.") from None
        except (OSError, library.NetworkError, library.ProtocolError) as error:
            raise _refused(url, f"{error or type(error).__name__}.") from None

    async def _follow(self, pool: Any, url: str, left: "_Budget") -> Image:
        library = _library()
        place = url
        for _ in range(self._max_redirects + 1):
            async with pool.stream("GET", _target(library, place, url), headers=_HEADERS) as response:
                headers = _header_map(response.headers)
                if response.status in _REDIRECTS and "location" in headers:
                    place = urljoin(place, headers["location"])
                    continue
                if response.status != 200:
                    raise _refused(url, f"the server answered {response.status}.")
                return await self._read(url, headers, response.aiter_stream(), left)
        raise _refused(url, f"it is redirected more than {self._max_redirects} times.")

    async def _read(
        self, url: str, headers: Mapping[str, str], pieces: AsyncIterable[bytes], left: "_Budget"
    ) -> Image:
        named = headers.get("content-type", "").partition(";")[0].strip().lower()
        if named not in _UNNAMED and not named.startswith("image/"):
            raise _refused(url, f"it is no image, but {named}.")
        if headers.get("content-encoding", "identity") != "identity":
            raise _refused(url, "it is compressed although that was not asked for.")
        data = bytearray()
        async for piece in pieces:
            data += piece
            left.spend(len(piece))
            if len(data) > self._max_bytes or left.is_spent:
                limit = self._max_total if left.is_spent else self._max_bytes
                raise _refused(url, f"it is too large: at most {limit} bytes are fetched.")
        media_type = _media_type(data) or named
        if not media_type.startswith("image/"):
            raise _refused(url, "it is no image that is known here.")
        return Image(media_type, bytes(data))


def image_in_url(url: str) -> Image:
    """The image that a data URL holds.

    Raises:
        ProviderError: `invalid_prompt`, status 400: it holds none.
    """
    head, comma, body = url.removeprefix("data:").partition(",")
    media_type, *parameters = (part.strip().lower() for part in head.split(";"))
    if not comma or not media_type.startswith("image/"):
        raise _refused(url, "it is no data URL of an image.")
    data = unquote_to_bytes(body)
    if "base64" in parameters:
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise _refused(url, "its data are not in base64.") from None
    if not data:
        raise _refused(url, "it is empty.")
    return Image(media_type, data)


class _Budget:
    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, count: int) -> None:
        self._left -= count

    @property
    def is_spent(self) -> bool:
        return self._left < 0


class _CheckedNetwork:
    """A network for httpcore that looks names up itself, and connects to an address that was checked.

    A name that is looked up again for the connection could mean another address by then.
    """

    def __init__(self, library: Any, allows: Callable[[Address], bool]) -> None:
        self._network = library.AnyIOBackend()
        self._failure: type[Exception] = library.NetworkError
        self._allows = allows

    async def connect_tcp(self, host: str, port: int, **how: Any) -> Any:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        places = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
        failure: Exception = OSError(f"{host} is not on the public internet")
        for place in places:
            if not self._allows(ipaddress.ip_address(place)):
                continue
            try:
                return await self._network.connect_tcp(place, port, **how)
            except self._failure as error:
                failure = error
        raise failure


@cache
def _library() -> Any:
    """The HTTP library below the one that the openai SDK brought along: 3.x brings another than those before it."""
    return import_module("httpcore2" if find_spec("httpcore2") else "httpcore")


def _target(library: Any, place: str, url: str) -> Any:
    """Where to send the request, of the very parts that are checked: two readings of a URL can differ."""
    parts = urlsplit(place)
    host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(url, f"{parts.scheme or 'it'} is no http(s) address.")
    target = quote(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", safe=_IN_TARGETS)
    return library.URL(scheme=parts.scheme, host=host, port=port, target=target)


def _header_map(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _media_type(data: bytes | bytearray) -> str | None:
    """What the first bytes say, whatever the server calls it."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)


def _refused(url: str, why: str) -> ProviderError:
    shown = url if len(url) <= LONGEST_SHOWN else f"{url[:LONGEST_SHOWN]}…"
    body: dict[str, object] = {"type": "invalid_request_error", "code": "invalid_image_url", "param": None}
    message = f"The image {shown} can't be given to the model: {why}"
    return ProviderError(message, code="invalid_prompt", status=400, body=body)
