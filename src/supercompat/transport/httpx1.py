"""The binding for openai 1.x and 2.x, which use httpx."""

import httpx

from supercompat.transport.binding import Binding

BINDING = Binding(httpx)
