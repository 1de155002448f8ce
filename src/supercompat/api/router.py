"""Finds the operation that a method and a path mean."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from supercompat.api.routes import Route
from supercompat.errors import RequestError


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(re.compile(_pattern(route.path)), route) for route in routes]
        self._served = sorted({route.path.split("/")[1] for _, route in self._routes})

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The operation, and the decoded ids in the path. An encoded slash is part of an id, not of the path.

        Raises:
            RequestError: 404 for a path that is not served, naming what is (C-008); 405 for a wrong method (C-009).
        """
        below = below_version(path)
        candidates = [(route, found) for regex, route in self._routes if (found := regex.fullmatch(below))]
        for route, found in candidates:
            if route.method == method:
                return route, tuple(unquote(id) for id in found.groups())
        shown = f"/v1{unquote(below)}"
        if candidates:
            raise RequestError(
                f"Not allowed to {method} on {shown}. "
                "(HINT: Perhaps you meant to use a different HTTP method?)",
                status=405,
            )
        served = ", ".join(self._served)
        raise RequestError(f"Invalid URL ({method} {shown}). Served here: {served}.", status=404)


def below_version(path: str) -> str:
    """The path behind `/v1`, whatever stands before it."""
    _, version, rest = re.sub("/v1$", "/v1/", path).partition("/v1/")
    return f"/{rest}" if version else path


def _pattern(path: str) -> str:
    return path.replace("{*}", "(.+)").replace("{}", "([^/]+)")
