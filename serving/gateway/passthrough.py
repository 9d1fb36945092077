"""OpenAI's endpoints: the engine's bytes go to the client as they come."""

from __future__ import annotations

import aiohttp

from serving.contract import BadEvent
from serving.gateway import engine_answer
from serving.gateway.asgi import JSON_TYPE, STREAM_TYPE, Headers, Send, send_body
from serving.gateway.exchange import Exchange
from serving.gateway.openai_request import Asked
from serving.gateway.routes import ArmPlan
from serving.gateway.scanning import Scan, UsageStripper
from serving.gateway.upstream import Upstream, raise_for_status, read_answer


async def forward(
    upstream: Upstream, exchange: Exchange, arm: ArmPlan, path: str, asked: Asked, headers: Headers, send: Send
) -> None:
    """Raises EngineFailed before the first byte."""
    with await upstream.ask(arm, path, asked.body, exchange.request_id) as response:
        if asked.streamed and response.status == 200:
            await _stream(response, exchange, asked, headers, send)
            return
        body = await read_answer(response)
        raise_for_status(response.status, client_may_err=True)
        exchange.status = response.status
        if response.status == 200:
            exchange.whole = True
            said, exchange.usage = engine_answer.read(body)
            _judge(exchange, said.has_content, said.declined, said.repeats)
        else:
            exchange.client_erred = True
            exchange.mark(BadEvent.REFUSED)
        exchange.started = True
        await send_body(send, response.status, body, JSON_TYPE, headers)


async def _stream(
    response: aiohttp.ClientResponse, exchange: Exchange, asked: Asked, headers: Headers, send: Send
) -> None:
    exchange.status = 200
    exchange.started = True
    await send({"type": "http.response.start", "status": 200, "headers": [STREAM_TYPE, *headers]})
    scan = Scan()
    stripper = UsageStripper() if asked.usage_added else None
    read = response.content.readany
    message = {"type": "http.response.body", "body": b"", "more_body": True}
    try:
        while chunk := await read():
            if scan.feed(chunk):
                exchange.content_came()
            message["body"] = stripper.feed(chunk) if stripper else chunk
            exchange.sending = True
            await send(message)
            exchange.sending = False
    except aiohttp.ClientError:
        pass  # the end mark tells whether anything is missing
    exchange.usage = scan.usage()
    await end_stream(exchange, scan, send, stripper.rest() if stripper else b"")


async def end_stream(exchange: Exchange, scan: Scan, send: Send, rest: bytes) -> None:
    """Judges a stream that has ended, and ends the client's."""
    if scan.errored:
        exchange.mark(BadEvent.FAILED)
    elif not scan.done:
        exchange.mark(BadEvent.CUT)
        rest += STREAM_CUT
    else:
        exchange.whole = True
        scan.end()
        _judge(exchange, scan.has_content, scan.refused, scan.repeated)
    await send({"type": "http.response.body", "body": rest})


def _judge(exchange: Exchange, has_content: bool, refused: bool, repeated: bool) -> None:
    """Marks what is wrong with a whole answer's words."""
    if refused:
        exchange.mark(BadEvent.REFUSED)
    elif not has_content:
        exchange.mark(BadEvent.EMPTY)
    if repeated:
        exchange.mark(BadEvent.REPEATED)


STREAM_CUT = (
    b'\n\ndata: {"error":{"message":"the engine ended the stream before its end",'
    b'"type":"server_error","param":null,"code":"stream_cut"}}\n\n'
)
"""Instead of the end mark, so that no client takes what it has for the whole."""
STREAM_TIMEOUT = (
    b'\n\ndata: {"error":{"message":"the answer was not complete in time",'
    b'"type":"server_error","param":null,"code":"timeout"}}\n\n'
)
