"""Whose request it is: API keys, and the projects that they open."""

import asyncio
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from supercompat.errors import ConfigurationError, RequestError
from supercompat.server.api_keys import fits, id_in, masked
from supercompat.storage_adapters.protocol import ApiKey, Store

#: The project of requests without a key, where there are none.
DEFAULT: Final = "default"

#: Seconds for which it is not looked again whether a key was revoked, or whether there are keys now. In all processes
#: a revoked key opens nothing any more after these.
LIFE: Final = 5.0

#: How many keys are remembered for so long.
REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Args:
        key_id: None where no keys are needed.
    """

    project: str
    key_id: str | None = None


class Authenticator:
    """Tells from the headers of requests who asks.

    Args:
        store: any project's.
        host: what the server listens on. Whoever asks over the network needs a key.
        origins: of web pages whose requests are taken, while there are no keys, beside those of this machine.
        clock: seconds, for what is remembered.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str,
        origins: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._origins = origins
        self._clock = clock
        self._keys: OrderedDict[str, tuple[float, asyncio.Task[ApiKey | None]]] = OrderedDict()
        self._needs_key = not is_loopback(host)
        self._looked = float("-inf")

    async def principal(self, headers: Mapping[str, str]) -> Principal:
        """Who asks.

        Args:
            headers: names in lower case.

        Raises:
            RequestError: 401: there is no key (E1), or a wrong one (E2), or one of another project; 403: keys are
                not needed, but the request comes from a web page, or by a name, that is not this machine's.
            StorageError
        """
        if await self._is_open():
            self._refuse_strangers(headers)
            return Principal(DEFAULT)
        given = _key_in(headers)
        if not given:
            raise _missing()
        id = id_in(given)
        key = await self._stored(id) if id else None
        if key is None or not fits(given, key) or key.revoked_at is not None:
            raise _wrong(given)
        asked = headers.get("openai-project")
        if asked and asked != key.project:
            raise _other_project()
        return Principal(key.project, key.id)

    async def _is_open(self) -> bool:
        """Whether no key is needed: there are none. Once there are, there always are."""
        if not self._needs_key and self._looked + LIFE <= self._clock():
            looked = self._clock()
            self._needs_key = await self._store.transact(lambda tx: tx.keys.exist())
            self._looked = looked
        return not self._needs_key

    async def _stored(self, id: str) -> ApiKey | None:
        until, looking = self._keys.get(id, (float("-inf"), None))
        if looking is None or until <= self._clock():
            looking = asyncio.create_task(self._store.transact(lambda tx: tx.keys.get(id)))
            self._keys[id] = self._clock() + LIFE, looking
            self._keys.move_to_end(id)
            if len(self._keys) > REMEMBERED:
                self._keys.popitem(last=False)
        try:
            # Others may wait for it too.
            return await asyncio.shield(looking)
        except Exception:
            self._keys.pop(id, None)
            raise

    def _refuse_strangers(self, headers: Mapping[str, str]) -> None:
        """Any web page can make a browser send requests to this machine, or have its own name mean it."""
        origin = headers.get("origin", "//localhost")
        is_known = origin in self._origins or "*" in self._origins or is_loopback(_host_of(origin))
        if not is_known or not is_loopback(_host_of(f"//{headers.get('host', 'localhost')}")):
            raise RequestError(
                "Without API keys this server answers requests that are made to and from its own machine only. "
                "To make a key: supercompat keys create --project NAME",
                status=403,
            )


async def check_host(store: Store, host: str) -> None:
    """Make sure that a server may listen on `host`, a name or an address.

    Raises:
        ConfigurationError: others could reach it there, and there are no keys.
        StorageError
    """
    has_keys = await store.transact(lambda tx: tx.keys.exist())
    if not has_keys and not is_loopback(host):
        raise ConfigurationError(
            f"Without API keys everybody who can reach {host} could use this server, so it would listen on "
            "127.0.0.1 only. Make a key first: supercompat keys create --project NAME"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _key_in(headers: Mapping[str, str]) -> str:
    """The key that a request carries, as OpenAI's clients send it, or Azure's; empty if there is none."""
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _password(value.strip())
    return headers.get("api-key", "").strip()


def _password(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode(errors="replace").partition(":")[2]
    except ValueError:
        return ""


def _missing() -> RequestError:
    return RequestError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
        "API from your browser and are prompted for a username and password. You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
        status=401,
    )


def _wrong(key: str) -> RequestError:
    return RequestError(
        f"Incorrect API key provided: {masked(key)}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        status=401,
        code="invalid_api_key",
    )


def _other_project() -> RequestError:
    return RequestError(
        "OpenAI-Project header should match project for API key", status=401, code="mismatched_project"
    )
