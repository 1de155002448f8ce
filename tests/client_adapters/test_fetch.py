"""Images by URL: what is fetched, and everything that is not."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from supercompat.client_adapters.fetch import Image, ImageFetcher, image_in_url, is_public
from supercompat.errors import ProviderError
from tests.client_adapters.conftest import no_tasks

PNG = b"\x89PNG\r\n\x1a\n" + b"." * 100
HOME = ipaddress.ip_address("127.0.0.1")

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a path as the test says."""

    @property
    def pictures(self) -> "PictureServer":
        assert isinstance(self.server, PictureServer)
        return self.server

    def do_GET(self) -> None:
        self.pictures.asked.append(self.path)
        self.pictures.answers[self.path.partition("?")[0]](self)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def say(self, body: bytes = PNG, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        given = {"content-type": "image/png", "content-length": str(len(body))}
        for name, value in (
            given | {name.replace("_", "-"): value for name, value in headers.items()}
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class PictureServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.released = threading.Event()
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


@contextmanager
def serving() -> Iterator[PictureServer]:
    with PictureServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def pictures() -> Iterator[PictureServer]:
    with serving() as server:
        yield server


def fetcher(**limits: Any) -> ImageFetcher:
    settings: dict[str, Any] = {"allows": HOME.__eq__, "timeout": 5, **limits}
    return ImageFetcher(**settings)


def says(**how: Any) -> Answer:
    return lambda handler: handler.say(**how)


async def fetched(url: str, **limits: Any) -> Image:
    images = await fetcher(**limits).images([url])
    await no_tasks()
    return images[url]


async def test_images_of_all_kinds_of_urls(pictures: PictureServer):
    pictures.answers["/a"] = pictures.answers["/b"] = says()
    urls = [f"{pictures.url}/a", f"{pictures.url}/b?size=1&x=%20", "data:image/gif;base64,R0lGOA=="]
    images = await fetcher().images([*urls, *urls])
    assert images == {
        urls[0]: Image("image/png", PNG),
        urls[1]: Image("image/png", PNG),
        urls[2]: Image("image/gif", b"GIF8"),
    }
    assert sorted(pictures.asked) == ["/a", "/b?size=1&x=%20"]


@pytest.mark.parametrize(
    ("body", "named", "media_type"),
    [
        (b"\xff\xd8\xff.", "application/octet-stream", "image/jpeg"),
        (b"GIF89a", "image/png", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "", "image/webp"),
        (b"\0\0\0\x1cftypheic", "image/heic; q=1", "image/heic"),
    ],
)
async def test_the_first_bytes_say_what_it_is(
    pictures: PictureServer, body: bytes, named: str, media_type: str
):
    pictures.answers["/a"] = says(body=body, content_type=named)
    assert (await fetched(f"{pictures.url}/a")).media_type == media_type


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(status=404), "the server answered 404"),
        (says(body=b"<html>", content_type="text/html"), "no image, but text/html"),
        (says(body=b"what?", content_type="application/octet-stream"), "no image that is known"),
        (says(content_encoding="gzip"), "it is compressed"),
        (says(body=PNG * 20), "too large: at most 1000 bytes"),
        (says(content_length="500"), "peer closed connection"),
        (says(status=302), "the server answered 302"),
        (says(status=302, location="/a"), "redirected more than 3 times"),
        (says(status=302, location="file:///etc/passwd"), "file is no http"),
        (says(status=302, location="http://[oops"), "it is no URL"),
        (says(status=302, location="http://127.0.0.2/a"), "127.0.0.2 is not on the public internet"),
        (says(status=307, location="http://169.254.169.254/meta"), "169.254.169.254 is not on the public"),
    ],
)
async def test_refused(pictures: PictureServer, answer: Answer, why: str):
    pictures.answers["/a"] = answer
    with pytest.raises(ProviderError) as caught:
        await fetched(f"{pictures.url}/a", max_bytes=1000)
    assert why in caught.value.message
    assert (caught.value.code, caught.value.status) == ("invalid_prompt", 400)
    assert caught.value.body is not None
    assert caught.value.body["code"] == "invalid_image_url"


async def test_a_redirect_is_followed(pictures: PictureServer):
    pictures.answers["/a"] = says(status=301, location="b?c")
    pictures.answers["/b"] = says()
    assert (await fetched(f"{pictures.url}/a")).data == PNG


async def test_all_images_of_a_request_have_one_limit(pictures: PictureServer):
    pictures.answers["/a"] = says()
    urls = [f"{pictures.url}/a?{number}" for number in range(4)]
    assert len(await fetcher(max_total=4 * len(PNG)).images(urls)) == 4
    with pytest.raises(ProviderError, match="too large"):
        await fetcher(max_total=4 * len(PNG) - 1).images(urls)
    await no_tasks()


def never(handler: Handler) -> None:
    handler.pictures.released.wait()


def slowly(handler: Handler) -> None:
    """Always something, never all of it."""
    handler.send_response(200)
    handler.send_header("content-type", "image/png")
    handler.end_headers()
    while not handler.pictures.released.wait(0.01):
        try:
            handler.wfile.write(b".")
        except OSError:
            return


@pytest.mark.parametrize("answer", [never, slowly])
async def test_there_is_one_deadline_for_all_of_it(pictures: PictureServer, answer: Answer):
    pictures.answers["/a"] = answer
    with pytest.raises(ProviderError, match=r"more than 0\.1 seconds"):
        await fetched(f"{pictures.url}/a", timeout=0.1)


async def test_leaving_ends_what_is_under_way(pictures: PictureServer):
    reached = threading.Event()

    def answer(handler: Handler) -> None:
        reached.set()
        never(handler)

    pictures.answers["/a"] = answer
    task = asyncio.create_task(fetched(f"{pictures.url}/a"))
    assert await asyncio.to_thread(reached.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await no_tasks()


async def test_nothing_is_fetched_where_that_is_off(pictures: PictureServer):
    with pytest.raises(ProviderError, match="fetches no images") as caught:
        await fetched(f"{pictures.url}/a", enabled=False)
    assert caught.value.status == 400
    assert not pictures.asked
    url = "data:image/gif;base64,R0lGOA=="
    assert (await fetched(url, enabled=False)).data == b"GIF8"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_no_spelling_leads_to_this_machine(pictures: PictureServer, host: str):
    with pytest.raises(ProviderError, match="not on the public internet"):
        await ImageFetcher().images([f"http://{host}:{pictures.port}/a"])
    assert not pictures.asked


@pytest.mark.parametrize(
    "url", ["ftp://a.test/b", "//a.test/b", "/etc/passwd", "http://", "http://a:b/", "gs://a/b"]
)
async def test_other_addresses(url: str):
    with pytest.raises(ProviderError, match=r"no http|no URL"):
        await fetched(url)


async def test_a_name_is_looked_up_once(pictures: PictureServer, monkeypatch: pytest.MonkeyPatch):
    """One that means a public address when it is checked could mean a private one when it is connected to."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def changing(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.test":
            return real(host, port, *args, **kwargs)
        looked_up.append(host)
        place = "127.0.0.1" if len(looked_up) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))]

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    pictures.answers["/a"] = says()
    assert (await fetched(f"http://rebind.test:{pictures.port}/a")).data == PNG
    assert looked_up == ["rebind.test"]
    with pytest.raises(ProviderError, match=r"rebind\.test is not on the public internet"):
        await fetched(f"http://rebind.test:{pictures.port}/a")


async def test_the_allowed_address_among_others(pictures: PictureServer, monkeypatch: pytest.MonkeyPatch):
    def several(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        places = [host] if host[0].isdigit() else ["10.0.0.1", "127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    pictures.answers["/a"] = says()
    assert (await fetched(f"http://many.test:{pictures.port}/a")).data == PNG


async def test_nobody_there(pictures: PictureServer):
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with pytest.raises(ProviderError, match="can't be given to the model"):
        await fetched(f"http://127.0.0.1:{port}/a")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are(address: str):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "image"),
    [
        ("data:image/png;base64,iVBO", Image("image/png", b"\x89PN")),
        ("data:image/PNG;name=a.png;base64,iVBO", Image("image/png", b"\x89PN")),
        ("data:image/svg+xml,%3Csvg/%3E", Image("image/svg+xml", b"<svg/>")),
    ],
)
def test_data_urls(url: str, image: Image):
    assert image_in_url(url) == image


@pytest.mark.parametrize(
    "url",
    ["data:", "data:image/png", "data:text/plain,a", "data:image/png;base64,", "data:image/png;base64,a"],
)
def test_data_urls_without_an_image(url: str):
    with pytest.raises(ProviderError) as caught:
        image_in_url(url)
    assert caught.value.status == 400


def test_a_long_url_is_not_shown_whole():
    with pytest.raises(ProviderError) as caught:
        image_in_url(f"data:image/png;base64,{'?' * 10_000}")
    assert len(caught.value.message) < 300
