"""The calls of a tool step while it is open, in the pieces that came, and how each kind is shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supercompat.model.events import Found, HostedKind
from supercompat.storage_adapters.protocol import Row
from supercompat.wire import objects as wire
from supercompat.wire.events import AssistantEvent, Piece, call_opened, tool_opened

#: In a step's private data: ids of the functions that the provider carried out; what file searches found, by call and
#: result; images by their file's id, as data URLs.
HOSTED, FOUND, FILES = "hosted", "found", "files"

#: In a run's private data: with what its driver picks up the answer that the provider goes on with by itself.
UNDER_WAY = "under_way"

#: In a run's private data: whether its events show what file searches found (C-130).
INCLUDED = "included"

#: In a run's private data: ids of images that wait for the message in which they are shown.
UNSHOWN = "unshown"


@dataclass(slots=True)
class OpenCall:
    """A call, of whatever kind.

    Args:
        is_hosted: the provider carries it out, nobody is asked for an output.
        ranking: a file search's `ranking_options`.
    """

    id: str
    kind: HostedKind
    name: str = ""
    is_hosted: bool = False
    ranking: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_done: bool = False
    output: str | None = None
    found: tuple[Found, ...] = ()
    outputs: list[wire.CodeOutput] = field(default_factory=list[wire.CodeOutput])
    _pieces: list[str] = field(default_factory=list[str], init=False)

    @property
    def input(self) -> str:
        """The arguments, or the code, so far."""
        return "".join(self._pieces)

    def opened(self, step_id: str, index: int) -> AssistantEvent:
        """The delta that begins it."""
        if self.kind == "function":
            return call_opened(step_id, index, self.id, self.name)
        return tool_opened(step_id, index, self.shown())

    def add(self, step_id: str, index: int, piece: str) -> AssistantEvent:
        """The next piece of its input."""
        self._pieces.append(piece)
        kind = "input" if self.kind == "code_interpreter" else "arguments"
        return Piece(kind, step_id, index, piece).event()

    def shown(self) -> wire.AnyStepCall:
        match self.kind:
            case "function":
                function = wire.StepFunction(name=self.name, arguments=self.input, output=self.output)
                return wire.StepCall(id=self.id, function=function)
            case "code_interpreter":
                code = wire.StepCode(input=self.input, outputs=list(self.outputs))
                return wire.CodeStepCall(id=self.id, code_interpreter=code)
            case "file_search":
                search = wire.StepSearch(
                    ranking_options=dict(self.ranking), results=[_result(each) for each in self.found]
                )
                return wire.SearchStepCall(id=self.id, file_search=search)

    def private(self) -> dict[str, Any]:
        """What is kept of it beside the step."""
        if self.kind == "file_search" and self.found:
            return {FOUND: {self.id: [each.text for each in self.found]}}
        return {HOSTED: {self.id: True}} if self.kind == "function" and self.is_hosted else {}


def kept_beside(calls: Iterable[OpenCall], files: Mapping[str, str]) -> dict[str, Any]:
    """What is kept beside the step of these calls."""
    kept: dict[str, dict[str, Any]] = {FILES: dict(files)} if files else {}
    for call in calls:
        for name, value in call.private().items():
            kept.setdefault(name, {}).update(value)
    return kept


def ranking_of(run: wire.Run) -> dict[str, Any]:
    """How the run's file searches rank what they find, as their steps show it."""
    tools = [tool for tool in run.tools if isinstance(tool, wire.FileSearchTool)]
    settings = tools[0].file_search if tools else wire.FileSearchSettings()
    return {name: settings.ranking_options[name] for name in ("ranker", "score_threshold")}


def file_id_of(step_id: str, number: int) -> str:
    """The id of an image that came of a step: it says where the image is kept."""
    return f"file-{step_id}-{number}"


def step_of_file(file_id: str) -> str:
    """The id of the step that an image's id names; of no step, for any other id."""
    return file_id.removeprefix("file-").rpartition("-")[0]


def _result(found: Found) -> wire.SearchResult:
    return wire.SearchResult(
        file_id=found.file_id,
        file_name=found.file_name,
        score=found.score,
        attributes=dict(found.attributes),
    )


def shown_step(row: Row[wire.RunStep], of_run: Mapping[str, Any]) -> wire.RunStep:
    """The step as the events of its run show it.

    Args:
        of_run: what is kept beside the run.
    """
    return with_content(row.object, row.private) if of_run.get(INCLUDED) else row.object


def with_content(step: wire.RunStep, private: Mapping[str, Any]) -> wire.RunStep:
    """The step with what its file searches found, which is shown only if it is asked for (C-130)."""
    details, found = step.step_details, private.get(FOUND, {})
    if not isinstance(details, wire.ToolCallsDetails) or not found:
        return step
    calls = [_with_content(call, found.get(call.id, ())) for call in details.tool_calls]
    return step.changed(step_details=details.changed(tool_calls=calls))


def _with_content(call: wire.AnyStepCall, texts: Any) -> wire.AnyStepCall:
    if not isinstance(call, wire.SearchStepCall):
        return call
    results = [
        result.changed(content=[] if text is None else [wire.FoundText(text=text)])
        for result, text in zip(call.file_search.results, texts, strict=False)
    ]
    return call.changed(file_search=call.file_search.changed(results=results))
