"""The chunks of an answer of Mistral's as model events: OpenAI's, but for the thinking in its contents. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.client_adapters.errors import error_in_answer
from supercompat.client_adapters.openai_wire import AnswerReader
from supercompat.client_adapters.openai_wire.json_values import a_list, a_text, an_object
from supercompat.model.events import ModelEvent, ProviderStateReported


class MistralAnswerReader:
    """Reads one answer: `read` for each chunk, then `finish`.

    An answer with thinking is kept word for word, for the model that gave it: `{"mistral": {"model", "content"}}`.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._answer = AnswerReader()
        self._content = _Content()

    def read(self, chunk: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What a chunk adds to the answer.

        Raises:
            ProviderError: the chunk says that the provider failed.
        """
        if chunk.get("object") == "error":
            raise error_in_answer(chunk)
        for choice in map(an_object, a_list(chunk.get("choices"))):
            self._content.add(an_object(choice.get("delta")).get("content"))
        yield from self._answer.read(chunk)

    def finish(self) -> Iterator[ModelEvent]:
        """What is only known at the end. There is no `Finished` if the provider gave no reason to finish.

        Raises:
            ProviderError: the answer can't be used.
        """
        if self._content.has_thinking:
            yield ProviderStateReported({"mistral": {"model": self._model, "content": self._content.parts}})
        yield from self._answer.finish()


class _Content:
    """The content of a message, put together from what was streamed of it.

    Attributes:
        parts: as the message is sent back.
    """

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []

    @property
    def has_thinking(self) -> bool:
        return any(part["type"] == "thinking" for part in self.parts)

    def add(self, content: object) -> None:
        if text := a_text(content):
            self._add_text(text)
        for part in map(an_object, a_list(content)):
            if part.get("type") == "text":
                self._add_text(a_text(part.get("text")))
            elif part.get("type") == "thinking":
                self._add_thinking(part)
            elif a_text(part.get("type")):
                self.parts.append(dict(part))

    def _add_text(self, text: str) -> None:
        if self._last("text"):
            self.parts[-1]["text"] += text
        elif text:
            self.parts.append({"type": "text", "text": text})

    def _add_thinking(self, part: Mapping[str, Any]) -> None:
        """A signature ends a piece of thinking: what is thought after it is another."""
        thoughts = [an_object(thought) for thought in a_list(part.get("thinking"))]
        if not self._last("thinking") or (thoughts and self.parts[-1].get("signature")):
            self.parts.append({"type": "thinking", "thinking": []})
        for thought in thoughts:
            _add_thought(self.parts[-1]["thinking"], thought)
        self.parts[-1].update(
            (name, value)
            for name, value in part.items()
            if name not in ("type", "thinking") and value is not None
        )

    def _last(self, kind: str) -> bool:
        return bool(self.parts) and self.parts[-1]["type"] == kind


def _add_thought(thoughts: list[dict[str, Any]], thought: Mapping[str, Any]) -> None:
    text = thought.get("text")
    if thought.get("type") == "text" and thoughts and thoughts[-1].get("type") == "text":
        thoughts[-1]["text"] += a_text(text)
    else:
        thoughts.append(dict(thought) if text is None else {**thought, "text": a_text(text)})
