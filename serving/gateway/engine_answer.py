"""What a whole answer of an engine says: decoded once, and only as far as the gateway looks."""

from __future__ import annotations

import msgspec

from serving.gateway.repeating import repeats
from serving.gateway.scanning import Usage, holds_content

FILTERED = "content_filter"
"""The finish reason of an answer whose words were taken out."""


class Function(msgspec.Struct, frozen=True):
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    function: Function = Function()


class Message(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None


class Choice(msgspec.Struct, frozen=True):
    message: Message = Message()
    text: str | None = None
    """Of a completion that is no chat."""
    finish_reason: str | None = None

    @property
    def words(self) -> str:
        """The answer; without one what the model thought, or would call."""
        message = self.message
        found = message.content or self.text or message.reasoning_content or message.reasoning
        if not found and message.tool_calls:
            found = message.tool_calls[-1].function.arguments
        return found or ""

    @property
    def declined(self) -> bool:
        return bool(self.message.refusal) or self.finish_reason == FILTERED


class EngineAnswer(msgspec.Struct, frozen=True):
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None

    @property
    def declined(self) -> bool:
        return any(choice.declined for choice in self.choices)

    @property
    def repeats(self) -> bool:
        """Choice by choice: equal ones are no loop."""
        return any(repeats(choice.words) for choice in self.choices)


decode = msgspec.json.Decoder(EngineAnswer).decode
"""Raises msgspec.DecodeError."""


def read(raw: bytes) -> tuple[EngineAnswer | None, bool]:
    """The answer, and whether it holds any content. None: it is of another shape, and only its bytes tell."""
    try:
        answer = decode(raw)
    except msgspec.DecodeError:
        return None, holds_content(raw)
    return answer, any(choice.words or choice.message.refusal for choice in answer.choices) or holds_content(raw)
