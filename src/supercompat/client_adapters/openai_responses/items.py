"""Output items, as they are streamed: messages, and the calls of tools that the provider carries out by itself."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from supercompat.client_adapters.openai_responses.state import parts_of
from supercompat.client_adapters.openai_wire import json_values as json
from supercompat.model.events import (
    Annotated,
    Found,
    HostedCallDone,
    HostedCallInput,
    HostedCallOutput,
    HostedCallStarted,
    MessageStarted,
    ModelEvent,
    RefusalDelta,
    TextDelta,
)
from supercompat.model.ids import new_call_id
from supercompat.model.surrogates import SurrogateJoiner

#: Where a file of the code interpreter is in a text.
_SANDBOX = re.compile(r"sandbox:/[^\s)\]>\"']+")

#: The number in the marker of a first search, and what each further one adds (section 6).
_FIRST_SEARCH, _NEXT_SEARCH = 4, 2


class Said:
    """A text that comes in pieces, which may be cut within a character."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._whole = SurrogateJoiner()

    def add(self, piece: str) -> str:
        """Returns what of it is whole."""
        piece = self._whole.join("", piece)
        self._pieces.append(piece)
        return piece

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def rest_of(self, whole: str) -> str:
        """What is missing of the whole text; nothing, if that is another one."""
        said = self.text
        return whole[len(said) :] if whole.startswith(said) else ""


class Item(Protocol):
    """Reads the events of one output item."""

    def begin(self) -> Iterator[ModelEvent]: ...

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[ModelEvent]: ...

    def finish(self, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What the whole item says that its events did not."""
        ...


class Searches:
    """The results of the file searches of one answer, by which what it cites is marked."""

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, found: tuple[Found, ...]) -> None:
        number = _FIRST_SEARCH + _NEXT_SEARCH * self._count
        self._count += 1
        for index, result in enumerate(found):
            self._places.setdefault(result.file_id, (number, index))

    def marker(self, file_id: str, name: str) -> str:
        """`【4:0†name】`: which search, and which of its results."""
        number, index = self._places.get(file_id, (_FIRST_SEARCH, 0))
        return f"【{number}:{index}†{name}】"


def new_item(item: Mapping[str, Any], searches: Searches) -> Item | None:
    """The reader of an item; None for what is not shown, as reasoning is."""
    kind = json.a_text(item.get("type"))
    if kind.startswith("mcp_") or kind.endswith("_call"):
        item = {**item, "id": json.a_text(item.get("id")) or new_call_id()}
    match kind:
        case "message":
            return MessageItem(searches)
        case "file_search_call":
            return SearchItem(item, searches)
        case "code_interpreter_call":
            return CodeItem(item)
        case "web_search_call":
            return FunctionItem(item, "web_search", _web_search)
        case "mcp_call":
            return FunctionItem(item, f"mcp:{item.get('server_label')}.{item.get('name')}", _mcp)
        case "mcp_list_tools":
            # That it knows the tools by now says nothing, that it can't is all there is to know.
            return FunctionItem(item, f"mcp:{item.get('server_label')}", _mcp) if item.get("error") else None
        case "image_generation_call":
            return FunctionItem(item, "image_generation", _image)
        case "computer_call":
            return None
        case _:
            # Providers have more tools than OpenAI.
            return FunctionItem(item, kind.removesuffix("_call"), _other) if kind.endswith("_call") else None


class MessageItem:
    """A message. All its text is one text, in which annotations have their places."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self._parts: dict[int, Said] = {}
        self._begins: dict[int, int] = {}
        self._length = 0
        self._annotated: set[tuple[int, int]] = set()

    def begin(self) -> Iterator[ModelEvent]:
        yield MessageStarted()

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        part = json.a_number(event.get("content_index")) or 0
        match kind:
            case "response.output_text.delta":
                yield from self._say(part, json.a_piece(event.get("delta")))
            case "response.refusal.delta":
                yield from self._refuse(part, json.a_piece(event.get("delta")))
            case "response.output_text.annotation.added":
                index = json.a_number(event.get("annotation_index")) or 0
                yield from self._annotate(part, index, json.an_object(event.get("annotation")))
            case _:
                pass

    def finish(self, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        for part, content in enumerate(parts_of(item)):
            said = self._parts.setdefault(part, Said())
            if content.get("type") == "refusal":
                yield from self._refuse(part, said.rest_of(json.a_text(content.get("refusal"))))
            else:
                yield from self._say_rest(part, said.rest_of(json.a_text(content.get("text"))), content)

    def _say_rest(self, part: int, rest: str, content: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What was not streamed. A marker is put where its citation says."""
        annotations = list(enumerate(map(json.an_object, json.a_list(content.get("annotations")))))
        said = len(json.a_text(content.get("text"))) - len(rest)
        for number, annotation in sorted(annotations, key=lambda each: _marked_at(each[1])):
            at = _marked_at(annotation) - said
            if 0 < at < len(rest):
                yield from self._say(part, rest[:at])
                said, rest = said + at, rest[at:]
            elif at >= len(rest):
                yield from self._say(part, rest)
                said, rest = said + len(rest), ""
            yield from self._annotate(part, number, annotation)
        yield from self._say(part, rest)

    def _say(self, part: int, text: str) -> Iterator[ModelEvent]:
        self._begins.setdefault(part, self._length)
        text = self._parts.setdefault(part, Said()).add(text)
        self._length += len(text)
        if text:
            yield TextDelta(text)

    def _refuse(self, part: int, text: str) -> Iterator[ModelEvent]:
        text = self._parts.setdefault(part, Said()).add(text)
        if text:
            yield RefusalDelta(text)

    def _annotate(self, part: int, index: int, annotation: Mapping[str, Any]) -> Iterator[ModelEvent]:
        if (part, index) in self._annotated:
            return
        self._annotated.add((part, index))
        file_id = json.a_text(annotation.get("file_id"))
        match annotation.get("type"):
            case "file_citation":
                name = json.a_text(annotation.get("filename")) or file_id
                marker = self._searches.marker(file_id, name)
                yield Annotated("file_citation", marker=marker, file_id=file_id)
            case "url_citation":
                url, title = json.a_text(annotation.get("url")), json.a_text(annotation.get("title"))
                yield Annotated("url_citation", *self._place(part, annotation), url=url, title=title)
            case "container_file_citation":
                yield Annotated("file_path", *self._place(part, annotation), file_id=file_id)
            case "file_path":
                yield Annotated("file_path", *self._path_at(part, annotation), file_id=file_id)
            case _:
                pass

    def _place(self, part: int, annotation: Mapping[str, Any]) -> tuple[int, int]:
        begin = self._begins.get(part, 0)
        start = max(json.a_number(annotation.get("start_index")) or 0, 0)
        return begin + start, begin + max(json.a_number(annotation.get("end_index")) or 0, start)

    def _path_at(self, part: int, annotation: Mapping[str, Any]) -> tuple[int, int]:
        """Where the path is that an annotation means by one index."""
        begin, index = self._begins.get(part, 0), json.a_number(annotation.get("index")) or 0
        found = list(_SANDBOX.finditer(self._parts[part].text if part in self._parts else ""))
        paths = [each for each in found if each.start() <= index <= each.end()] or found[-1:]
        return (begin + paths[0].start(), begin + paths[0].end()) if paths else (begin + index, begin + index)


def _marked_at(annotation: Mapping[str, Any]) -> int:
    """Where a citation has its marker; all else comes when the text is there."""
    index = json.a_number(annotation.get("index"))
    return index if annotation.get("type") == "file_citation" and index is not None else sys.maxsize


class SearchItem:
    """A file search, whose results are told when it is over."""

    def __init__(self, item: Mapping[str, Any], searches: Searches) -> None:
        self._id = json.a_text(item.get("id"))
        self._searches = searches

    def begin(self) -> Iterator[ModelEvent]:
        yield HostedCallStarted(self._id, "file_search")

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        yield from ()

    def finish(self, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        found = tuple(map(_found, map(json.an_object, json.a_list(item.get("results")))))
        self._searches.add(found)
        yield HostedCallDone(self._id, found=found)


def _found(result: Mapping[str, Any]) -> Found:
    score = result.get("score")
    return Found(
        file_id=json.a_text(result.get("file_id")),
        file_name=json.a_text(result.get("filename")),
        score=float(score) if isinstance(score, int | float) else 0.0,
        attributes=json.an_object(result.get("attributes")),
        text=json.a_text(result.get("text")) or None,
    )


class CodeItem:
    """Code that the provider runs."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._id = json.a_text(item.get("id"))
        self._code = Said()

    def begin(self) -> Iterator[ModelEvent]:
        yield HostedCallStarted(self._id, "code_interpreter")

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        if kind == "response.code_interpreter_call_code.delta":
            yield from self._write(json.a_piece(event.get("delta")))

    def finish(self, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        yield from self._write(self._code.rest_of(json.a_text(item.get("code"))))
        for output in map(json.an_object, json.a_list(item.get("outputs"))):
            if output.get("type") == "logs":
                yield HostedCallOutput(self._id, logs=json.a_text(output.get("logs")))
            elif url := json.a_text(output.get("url")):
                yield HostedCallOutput(self._id, image=url)
        yield HostedCallDone(self._id)

    def _write(self, piece: str) -> Iterator[ModelEvent]:
        if piece := self._code.add(piece):
            yield HostedCallInput(self._id, piece)


class _Told(Protocol):
    """What an item says, as a function's arguments and what came of it."""

    def __call__(self, item: Mapping[str, Any], call_id: str) -> tuple[str, HostedCallDone]: ...


class FunctionItem:
    """A call that is shown as one of a function, since the API has no other words for it (7.1)."""

    def __init__(self, item: Mapping[str, Any], name: str, told: _Told) -> None:
        self._id = json.a_text(item.get("id"))
        self._name = name
        self._told = told
        self._arguments = Said()

    def begin(self) -> Iterator[ModelEvent]:
        yield HostedCallStarted(self._id, "function", self._name)

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        if kind == "response.mcp_call_arguments.delta":
            yield from self._write(json.a_piece(event.get("delta")))

    def finish(self, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        arguments, done = self._told(item, self._id)
        yield from self._write(self._arguments.rest_of(arguments))
        yield done

    def _write(self, piece: str) -> Iterator[ModelEvent]:
        if piece := self._arguments.add(piece):
            yield HostedCallInput(self._id, piece)


def _web_search(item: Mapping[str, Any], call_id: str) -> tuple[str, HostedCallDone]:
    action = json.an_object(item.get("action"))
    arguments = {name: value for name, value in action.items() if name != "sources"}
    result: dict[str, Any] = {"sources": json.a_list(action.get("sources"))}
    if item.get("status") == "failed":
        result = {"error": "The search failed."}
    return json.text_of(arguments), HostedCallDone(call_id, json.text_of(result))


def _mcp(item: Mapping[str, Any], call_id: str) -> tuple[str, HostedCallDone]:
    error = item.get("error")
    output = json.text_of({"error": error}) if error else json.a_text(item.get("output"))
    return json.a_text(item.get("arguments")) or "{}", HostedCallDone(call_id, output)


def _image(item: Mapping[str, Any], call_id: str) -> tuple[str, HostedCallDone]:
    named = {"prompt": "revised_prompt", "size": "size", "quality": "quality", "background": "background"}
    arguments = {name: item[member] for name, member in named.items() if item.get(member) is not None}
    picture, form = json.a_text(item.get("result")), json.a_text(item.get("output_format")) or "png"
    if picture:
        return json.text_of(arguments), HostedCallDone(call_id, image=f"data:image/{form};base64,{picture}")
    error = json.an_object(item.get("error")).get("message") or "No image was made."
    return json.text_of(arguments), HostedCallDone(call_id, json.text_of({"error": error}))


#: What came of a call, in the words of several tools.
_OUTCOME = ("output", "outputs", "result", "results", "error")


def _other(item: Mapping[str, Any], call_id: str) -> tuple[str, HostedCallDone]:
    """A tool that is not known: what the item says of the call, and what of its outcome."""
    outcome = {name: item[name] for name in _OUTCOME if item.get(name) is not None}
    known = {"id", "type", "status", *_OUTCOME}
    arguments = {name: value for name, value in item.items() if name not in known}
    return json.text_of(arguments), HostedCallDone(call_id, json.text_of(outcome))
