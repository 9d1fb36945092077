"""The requests of the mix, as whole HTTP/1.1 messages, drawn from a seeded source of chance. Pure.

Bodies of the service's own tasks are made from the schemas of its own OpenAPI page, so that no shape is written twice;
those of the others have OpenAI's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Any

import msgspec

from ops.loadtest.plan import Kind
from ops.probing.sampling import Unsampleable, sample
from ops.spec.loadtest import Lengths, Load, Suite
from ops.spec.model import Spec
from serving.contract import SESSION_HEADER, TaskKind

CHARS_PER_TOKEN_MIN = 2
"""So few only in text that no tokenizer was made for: prompts cut to this fit any context."""
_TEXT = (
    "the crowd sang along when the band opened the second set with a long jam that turned into an old song nobody "
    "had heard for years and the tapes show how each night differs from the last"
)
_WORDS = tuple(_TEXT.split())


class NoSchema(ValueError):
    """A task of the mix that the service does not describe, or whose requests cannot be made."""


@dataclass(frozen=True)
class Wish:
    """What a request should be like."""

    task: str
    prompt_chars: int
    output_tokens: int
    stream: bool
    session: str = ""
    """Requests of one session share the beginning of their prompt."""


@dataclass(frozen=True)
class Destination:
    """Where requests go, and what each says of its sender."""

    host: str
    port: int
    tls: bool = False
    key: str = ""
    """Sent as a bearer token; never shown."""


def drawn(load: Load, suite: Suite, count: int, chance: Random) -> Iterator[Wish]:
    """``count`` wishes of the mix."""
    mix = suite.mix_percent or load.mix_percent
    streamed = load.stream_percent if suite.stream_percent is None else suite.stream_percent
    sessions = max(1, round(count * load.sessions.percent / 100 / load.sessions.requests))
    for task in chance.choices(tuple(mix), tuple(mix.values()), k=count):
        kept = chance.random() * 100 < load.sessions.percent
        yield Wish(
            task=task,
            prompt_chars=_length(suite.prompt_chars or load.prompt_chars, chance),
            output_tokens=_length(suite.output_tokens or load.output_tokens, chance),
            stream=chance.random() * 100 < streamed,
            session=f"s{chance.randrange(sessions)}" if kept else "",
        )


def _length(lengths: Lengths, chance: Random) -> int:
    return max(1, round(exp(log(lengths.median) + lengths.sigma * chance.gauss(0, 1))))


def messages(
    spec: Spec, wishes: Iterable[Wish], schemas: Mapping[str, Mapping[str, Any]], to: Destination, chance: Random
) -> tuple[tuple[Kind, ...], tuple[tuple[int, bytes], ...]]:
    """Kinds, and requests with the number of theirs. ``schemas`` of request bodies, by path. Raises NoSchema."""
    kinds: dict[Kind, int] = {}
    found: list[tuple[int, bytes]] = []
    makers: dict[str, Maker] = {}
    for wish in wishes:
        maker = makers.get(wish.task)
        if maker is None:
            maker = makers[wish.task] = Maker(spec, wish.task, schemas)
        kind = maker.kind(wish)
        prefix = _words(Random(wish.session), spec.load.sessions.prefix_chars) if wish.session else ""  # noqa: S311
        prompt = prefix + _words(chance, wish.prompt_chars)
        body = msgspec.json.encode(maker.body(prompt, wish))
        found.append((kinds.setdefault(kind, len(kinds)), _message(maker.path, body, wish.session, to)))
    return tuple(kinds), tuple(found)


def _words(chance: Random, chars: int) -> str:
    return " ".join(chance.choices(_WORDS, k=chars // 4 + 1))[:chars]


def _message(path: str, body: bytes, session: str, to: Destination) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {to.host}:{to.port}",
        "User-Agent: gratefulgpt-load",
        "Accept: */*",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {to.key}"] if to.key else []),
        *([f"{SESSION_HEADER}: {session}"] if session else []),
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


class Maker:
    """Makes the bodies of one task. Raises NoSchema."""

    def __init__(self, spec: Spec, name: str, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        task = spec.api.tasks[name]
        task_class = spec.task_classes[task.task_class]
        tier = spec.tiers[task.tier]
        self.path, self._kind, self._model = task.path, task.kind, tier.model
        self._cap = task.output_tokens_max or task_class.output_tokens_max
        room = (tier.context_tokens_max - self._cap) * CHARS_PER_TOKEN_MIN
        self._chars_max = min(spec.api.limits.prompt_chars_max, room)
        self._kinds = {
            stream: Kind(name, task.task_class, task_class.latency_p95_ms / 1000, task_class.timeout_seconds, stream)
            for stream in (False, True)
        }
        if task.path not in schemas:
            raise NoSchema(f"the service does not describe {task.path}, which the mix asks for as {name!r}")
        self._schema = schemas[task.path]
        self._fields = self._schema.get("properties", {})
        if self._kind in (TaskKind.TEXT, TaskKind.STRUCTURED):
            try:
                self._sample = sample(self._schema)
            except (Unsampleable, KeyError, TypeError) as e:
                raise NoSchema(f"no request for {task.path} can be made from its schema: {e}") from e
            self._place, self._place_max = _roomiest(self._schema)

    def kind(self, wish: Wish) -> Kind:
        return self._kinds[wish.stream and "stream" in self._fields]

    def body(self, prompt: str, wish: Wish) -> dict[str, Any]:
        prompt = prompt[: self._chars_max]
        tokens = min(wish.output_tokens, self._cap)
        stream = wish.stream and "stream" in self._fields
        if self._kind is TaskKind.OPENAI_CHAT:
            body: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": prompt}]}
        elif self._kind is TaskKind.OPENAI_COMPLETION:
            body = {"model": self._model, "prompt": prompt}
        else:
            body = deepcopy(self._sample)
            _put(body, self._place, prompt[: self._place_max])
        if "max_tokens" in self._fields:
            body["max_tokens"] = tokens
        if stream:
            body["stream"] = True
            if self._kind in (TaskKind.OPENAI_CHAT, TaskKind.OPENAI_COMPLETION):
                body["stream_options"] = {"include_usage": True}
        return body


def _roomiest(schema: Mapping[str, Any]) -> tuple[tuple[str | int, ...], int]:
    """Where the longest text fits among what a request must have, and how long it may be; an empty place: nowhere."""
    places = sorted(_texts(schema, ()), key=lambda place: place[1])
    return places[-1] if places else ((), 0)


def _texts(schema: Mapping[str, Any], at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    kind = schema.get("type")
    if kind == "object":
        for name in schema.get("required", ()):
            yield from _texts(schema.get("properties", {}).get(name, {}), (*at, name))
    elif kind == "array" and schema.get("minItems", 1):
        yield from _texts(schema.get("items", {}), (*at, 0))
    elif kind == "string" and not {"enum", "const", "pattern", "format"} & schema.keys():
        yield at, int(schema.get("maxLength", 1 << 30))


def _put(body: Any, place: Sequence[str | int], text: str) -> None:
    if not place or not text:
        return
    for step in place[:-1]:
        body = body[step]
    body[place[-1]] = text
