"""Images that hosted tools made: the only files that are kept so far."""

import base64
import binascii
from dataclasses import dataclass

from supercompat.engine.tool_calls import FILES, step_of_file
from supercompat.errors import RequestError
from supercompat.services.core import Core
from supercompat.storage_adapters.protocol import Transaction


@dataclass(frozen=True, slots=True)
class Image:
    """Args:
    type: its media type, such as `image/png`.
    """

    type: str
    data: bytes


class Images:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def content(self, file_id: str) -> Image:
        """The image behind the `image_file` of a message, or an image among the outputs of code.

        Raises:
            RequestError: there is none of this id (E35).
        """

        def work(tx: Transaction) -> str | None:
            step = tx.steps.get(step_of_file(file_id))
            return None if step is None else step.private.get(FILES, {}).get(file_id)

        url = await self._core.store.transact(work)
        image = None if url is None else _image(url)
        if image is None:
            raise RequestError(f"No such File object: {file_id}", status=404, param="id")
        return image


def _image(url: str) -> Image | None:
    """What a data URL holds; None for any other URL."""
    head, _, data = url.partition(";base64,")
    try:
        return Image(head.removeprefix("data:"), base64.b64decode(data)) if data else None
    except binascii.Error:
        return None
