"""The OpenAPI document of the public port, made from the configuration and the tasks' schemas."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.contract import ACTOR_HEADER, IDEMPOTENCY_HEADER, ServingConfig, TaskConfig, TaskKind
from serving.tasks.catalogue import Catalogue, Task

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_ERROR_STATUSES = {
    "400": "Over a limit, or no JSON",
    "404": "No such model",
    "408": "The body came too slowly",
    "413": "The body is too large",
    "429": "The queue is full",
    "502": "The engine failed",
    "503": "Nothing serves this now",
    "504": "Not in time",
}


def document(config: ServingConfig, catalogue: Catalogue) -> bytes:
    """OpenAPI 3.1, as JSON. Of several template versions the last by name is shown."""
    paths: dict[str, Any] = {}
    version = max(catalogue.versions, default="")
    for task in config.tasks:
        files = catalogue.task(version, task.name)
        paths[task.path] = {"post": _task(task, files) if files else _openai(task, config)}
    paths |= _information() | _administration()
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": config.service, "version": "1"},
            "paths": paths,
            "components": {
                "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
                "schemas": {"Error": _error()},
            },
        }
    )


def _error() -> dict[str, Any]:
    fields = dict.fromkeys(("message", "type", "param", "code", "limit"), _TEXT)
    faults = {"type": "array", "items": {"type": "object", "properties": {"path": _TEXT, "message": _TEXT}}}
    return {"type": "object", "properties": {"error": {"type": "object", "properties": {**fields, "faults": faults}}}}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _responses(description: str, schema: dict[str, Any], more: dict[str, str]) -> dict[str, Any]:
    error = _content({"$ref": "#/components/schemas/Error"})
    answers: dict[str, Any] = {"200": {"description": description, "content": _content(schema)}}
    return answers | {status: {"description": text, "content": error} for status, text in more.items()}


def _task(task: TaskConfig, files: Task) -> dict[str, Any]:
    usage = {name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    envelope = {
        "type": "object",
        "properties": {
            **dict.fromkeys(("id", "task", "model", "release"), _TEXT),
            "output": files.schemas.answer,
            "usage": {"type": "object", "properties": usage},
        },
    }
    streams = " With stream, server-sent events of {text}." if task.kind is TaskKind.TEXT else ""
    return {
        "operationId": task.name,
        "tags": ["Tasks"],
        "summary": task.name,
        "description": f"Class {task.task_class}, at most {task.output_tokens_max} tokens of answer.{streams}",
        "requestBody": {"required": True, "content": _content(files.schemas.request)},
        "responses": _responses("The answer", envelope, {**_ERROR_STATUSES, "422": "Not of the task's schema"}),
    }


def _openai(task: TaskConfig, config: ServingConfig) -> dict[str, Any]:
    models = sorted(tier.model for tier in config.tiers.values())
    chat = task.kind is TaskKind.OPENAI_CHAT
    prompt = {"messages": {"type": "array", "items": _OBJECT}} if chat else {"prompt": {}}
    request = {
        "type": "object",
        "properties": {
            "model": {"type": "string", "enum": models},
            **prompt,
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": task.output_tokens_max},
            "stream": {"type": "boolean"},
        },
        "required": list(prompt),
        "additionalProperties": True,
    }
    return {
        "operationId": task.name,
        "tags": ["OpenAI-compatible"],
        "summary": task.name,
        "description": "As OpenAI's API; other fields go to the engine as they are.",
        "requestBody": {"required": True, "content": _content(request)},
        "responses": _responses("The engine's answer", _OBJECT, _ERROR_STATUSES),
    }


def _get(name: str, tag: str, summary: str) -> dict[str, Any]:
    responses = _responses(summary, _OBJECT, {})
    return {"get": {"operationId": name, "tags": [tag], "summary": summary, "responses": responses}}


def _information() -> dict[str, Any]:
    tag = "Information"
    model = _get("model", tag, "One model")
    model["get"]["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": _TEXT}]
    return {
        "/v1/models": _get("openai-models", tag, "Models, as OpenAI lists them"),
        "/v1/models/{id}": model,
        "/api/v1/health": _get("health", tag, "Whether the gateway serves"),
        "/api/v1/metrics": _get("metrics", tag, "This worker's metrics, in Prometheus's text format"),
        "/api/v1/models": _get("models", tag, "Models that are served"),
        "/api/v1/status": _get("status", tag, "Which release serves each tier, at which weight"),
    }


def _administration() -> dict[str, Any]:
    headers = [
        {"name": IDEMPOTENCY_HEADER, "in": "header", "required": True, "schema": _TEXT},
        {"name": ACTOR_HEADER, "in": "header", "required": False, "schema": _TEXT},
    ]

    def post(name: str, summary: str, required: list[str], optional: list[str]) -> dict[str, Any]:
        properties = dict.fromkeys((*required, *optional), _TEXT)
        schema = {"type": "object", "required": required, "properties": properties, "additionalProperties": False}
        return {
            "operationId": name,
            "summary": summary,
            "parameters": headers,
            "requestBody": {"required": True, "content": _content(schema)},
            "responses": _responses("The controller's answer", _OBJECT, {"503": "The controller does not answer"}),
        }

    paths = {
        "/api/admin/models/deploy": {"post": post("deploy", "Start a rollout", ["release", "tier"], [])},
        "/api/admin/models/rollback": {
            "post": post("rollback", "Go back to a former release", ["tier"], ["to", "reason"])
        },
        "/api/admin/usage/stats": _get("usage", "Administration", "Requests and tokens over all workers"),
        "/api/admin/health/detailed": _get("health-detailed", "Administration", "Workers, tiers and engines"),
    }
    for path in paths.values():
        for operation in path.values():
            operation |= {"tags": ["Administration"], "security": [{"admin": []}]}
    return paths
