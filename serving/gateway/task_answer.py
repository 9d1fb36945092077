"""Answers of the service's own tasks: the engine's words, checked and put into the service's envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from serving.contract import BadEvent, TaskConfig, TaskKind
from serving.gateway import engine_answer
from serving.gateway.asgi import STREAM_TYPE, Headers, Send, send_json
from serving.gateway.engine_answer import Choice
from serving.gateway.exchange import Exchange
from serving.gateway.passthrough import end_stream
from serving.gateway.routes import ArmPlan
from serving.gateway.scanning import DONE, Scan
from serving.gateway.task_request import TaskAsked, engine_body
from serving.gateway.upstream import EngineFailed, Upstream, raise_for_status, read_answer
from serving.tasks.catalogue import RenderError, Task

ENGINE_PATH = "/v1/chat/completions"
EVENT_BYTES_MAX = 1024 * 1024
"""The longest event of an engine's stream."""


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Event(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()


_decode_event = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True, slots=True)
class Asking:
    """What one request needs on its way to the answer."""

    config_task: TaskConfig
    task: Task
    """In the version of the arm that serves it."""
    model: str
    asked: TaskAsked


async def answer(
    upstream: Upstream, exchange: Exchange, arm: ArmPlan, asking: Asking, headers: Headers, send: Send
) -> None:
    """Raises EngineFailed before the first byte."""
    try:
        body = engine_body(asking.config_task, asking.task, asking.asked, asking.model)
    except RenderError as e:
        raise EngineFailed(500, "template_failed", str(e)) from e
    with await upstream.ask(arm, ENGINE_PATH, body, exchange.request_id) as response:
        if response.status == 200 and asking.asked.streamed:
            await _stream(response, exchange, headers, send)
            return
        raw = await read_answer(response)
        raise_for_status(response.status, client_may_err=False)
    try:
        found = engine_answer.decode(raw)
    except msgspec.DecodeError as e:
        raise EngineFailed(502, "engine_error", "the engine's answer is no chat completion") from e
    exchange.whole = True
    exchange.usage = found.usage
    if engine_answer.said(found).repeats:
        exchange.mark(BadEvent.REPEATED)
    output = _output(asking, found.choices[0] if found.choices else Choice())
    envelope = {
        "id": exchange.request_id,
        "task": asking.config_task.name,
        "model": asking.model,
        "release": arm.release,
        "output": output,
        "usage": found.usage,
    }
    exchange.status = 200
    exchange.started = True
    await send_json(send, 200, envelope, headers)


def _output(asking: Asking, choice: Choice) -> Any:
    """The task's answer, known to be of its schema. Raises EngineFailed with the event that it was not."""
    content = choice.message.content
    if choice.declined:
        raise EngineFailed(502, "answer_refused", "the model declined to answer", BadEvent.REFUSED)
    if not content:
        raise EngineFailed(502, "answer_empty", "the model answered nothing", BadEvent.EMPTY)
    if asking.config_task.kind is TaskKind.TEXT:
        reason = "length" if choice.finish_reason == "length" else "stop"
        return {"text": content, "finish_reason": reason}
    if choice.finish_reason == "length":
        message = "the model's answer passed the task's token limit"
        raise EngineFailed(502, "answer_truncated", message, BadEvent.TRUNCATED)
    try:
        output = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as e:
        raise EngineFailed(502, "answer_invalid", "the model's answer is not JSON", BadEvent.INVALID) from e
    if not asking.task.answers(output):
        message = "the model's answer does not match the task's schema"
        raise EngineFailed(502, "answer_invalid", message, BadEvent.INVALID)
    return output


async def _stream(response: aiohttp.ClientResponse, exchange: Exchange, headers: Headers, send: Send) -> None:
    """Text as it comes: ``{"text": ...}`` events; before the end mark one with the finish reason and the usage."""
    exchange.status = 200
    exchange.started = True
    await send({"type": "http.response.start", "status": 200, "headers": [STREAM_TYPE, *headers]})
    scan = Scan()
    pending, reason = b"", "stop"
    try:
        while chunk := await response.content.readany():
            if scan.feed(chunk):
                exchange.content_came()
            *events, pending = (pending + chunk).split(b"\n\n")
            if len(pending) > EVENT_BYTES_MAX:
                break
            texts = []
            for event in events:
                text, ended = _read_event(event)
                reason = ended or reason
                if text:
                    texts.append(_event({"text": text}))
            if texts:
                exchange.sending = True
                await send({"type": "http.response.body", "body": b"".join(texts), "more_body": True})
                exchange.sending = False
    except aiohttp.ClientError:
        pass  # the end mark tells whether anything is missing
    exchange.usage = scan.usage()
    last = b""
    if scan.done and not scan.errored:
        last = _event({"text": "", "finish_reason": reason, "usage": exchange.usage}) + DONE + b"\n\n"
    await end_stream(exchange, scan, send, last)


def _read_event(event: bytes) -> tuple[str, str | None]:
    """Text and finish reason of one event; what cannot be read holds neither."""
    data = event.lstrip()
    if not data.startswith(b"data: {"):
        return "", None
    try:
        choices = _decode_event(data[6:]).choices
    except msgspec.DecodeError:
        return "", None
    return (choices[0].delta.content or "", choices[0].finish_reason) if choices else ("", None)


def _event(content: object) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
