"""The binding for openai 3.x, which uses httpx2."""

import httpx2

from supercompat.transport.binding import Binding

BINDING = Binding(httpx2)
