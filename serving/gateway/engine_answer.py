"""What a whole answer of an engine says: decoded once, and only as far as the gateway looks."""

from __future__ import annotations

import msgspec

from serving.gateway.repeating import repeats
from serving.gateway.scanning import Usage, holds_content

FILTERED = "content_filter"
"""The finish reason of an answer whose words were taken out."""


class Function(msgspec.Struct, frozen=True, gc=False):
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    function: Function = Function()


class Message(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None


class Choice(msgspec.Struct, frozen=True, gc=False):
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


class EngineAnswer(msgspec.Struct, frozen=True, gc=False):
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None


class Said(msgspec.Struct, frozen=True, gc=False):
    """What is to be judged of an answer's words."""

    has_content: bool
    declined: bool
    repeats: bool


decode = msgspec.json.Decoder(EngineAnswer).decode
"""Raises msgspec.DecodeError."""


def said(answer: EngineAnswer) -> Said:
    """Choice by choice: equal ones are no loop."""
    has_content = declined = looping = False
    for choice in answer.choices:
        if words := choice.words:
            has_content = True
            looping = looping or repeats(words)
        if choice.declined:
            declined = True
    return Said(has_content, declined, looping)


def read(raw: bytes) -> tuple[Said, Usage | None]:
    """What an answer says and used. Of one of another shape only its bytes tell whether it says anything."""
    try:
        answer = decode(raw)
    except msgspec.DecodeError:
        return Said(holds_content(raw), False, False), None
    found = said(answer)
    if not found.has_content and not found.declined and holds_content(raw):
        found = msgspec.structs.replace(found, has_content=True)
    return found, answer.usage
