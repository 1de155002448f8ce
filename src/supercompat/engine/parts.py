"""The content of a message while it is open, in the pieces that came."""

from dataclasses import dataclass, field
from typing import Literal

from supercompat.model.events import Annotated
from supercompat.wire import objects as wire
from supercompat.wire.objects import JsonObject


@dataclass(slots=True)
class OpenPart:
    """A content part. Of a text, its annotations count their places over what was said and what marks citations."""

    kind: Literal["text", "refusal", "image_file"]
    file_id: str = ""
    annotations: list[JsonObject] = field(default_factory=list[JsonObject])
    _pieces: list[str] = field(default_factory=list[str], init=False)
    _length: int = field(default=0, init=False)
    # Where markers are, by the length of what the model itself had said, and how long each is.
    _markers: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]], init=False)

    @property
    def value(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)

    def annotate(self, said: Annotated) -> JsonObject:
        """Add an annotation, and its marker, if it has one."""
        if said.marker:
            start = self._length
            self._markers.append((start - sum(length for _, length in self._markers), len(said.marker)))
            self.add(said.marker)
            end = self._length
        else:
            start, end = self._place(said.start), self._place(said.end, is_end=True)
        annotation = _annotation(said, self.value[start:end], start, max(start, end))
        self.annotations.append(annotation)
        return annotation

    def content(self) -> wire.Content:
        match self.kind:
            case "refusal":
                return wire.RefusalContent(refusal=self.value)
            case "image_file":
                return wire.ImageFileContent(image_file=wire.ImageFile(file_id=self.file_id))
            case "text":
                return wire.TextContent(text=wire.Text(value=self.value, annotations=list(self.annotations)))

    def _place(self, said: int, *, is_end: bool = False) -> int:
        """Where a character of what the model said is, behind the markers before it."""
        before = sum(length for at, length in self._markers if at < said or (at == said and not is_end))
        return min(said + before, self._length)


def _annotation(said: Annotated, text: str, start: int, end: int) -> JsonObject:
    place: JsonObject = {"start_index": start, "end_index": end}
    match said.kind:
        case "file_citation":
            citation = {"file_id": said.file_id, "quote": ""}
            return {"type": said.kind, "text": text, **place, "file_citation": citation}
        case "file_path":
            return {"type": said.kind, "text": text, **place, "file_path": {"file_id": said.file_id}}
        case "url_citation":
            return {"type": said.kind, **place, "url": said.url, "title": said.title}
