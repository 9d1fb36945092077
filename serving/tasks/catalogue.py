"""Loading tasks: templates and schemas of every version, checked when the gateway starts.

A template has two blocks, both optional: ``system`` and ``user``. What the request holds as ``messages`` stands
between them. Templates run in a sandbox and see the request's fields, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jsonschema_rs
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = Path(__file__).parent
BLOCKS = ("system", "user")


class TaskFilesError(Exception):
    """Every fault of the tasks' files, in one message."""


class RenderError(Exception):
    """A template failed on a valid request: the release's fault, not the client's."""


class Schemas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a ``.schema.json`` holds: two JSON schemas (draft 2020-12)."""

    request: dict[str, Any]
    answer: dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value, without the value."""

    path: str
    message: str


@dataclass(frozen=True)
class Task:
    """One task in one version."""

    name: str
    version: str
    schemas: Schemas
    _template: jinja2.Template
    _request: jsonschema_rs.Draft202012Validator
    _answer: jsonschema_rs.Draft202012Validator

    def faults(self, request: object) -> list[Fault]:
        """Everything that is wrong with a request; empty if nothing is."""
        return [_fault(error) for error in self._request.iter_errors(request)]

    def answers(self, answer: object) -> bool:
        """Whether a decoded answer is of the task's schema."""
        return self._answer.is_valid(answer)

    def messages(self, request: Mapping[str, Any]) -> list[dict[str, str]]:
        """The chat that asks a model for the answer. Raises RenderError."""
        defaults = {
            name: field["default"]
            for name, field in self.schemas.request.get("properties", {}).items()
            if "default" in field
        }
        values = dict.fromkeys(self.schemas.request.get("properties", {})) | defaults | dict(request)
        try:
            context = self._template.new_context(values)
            texts = {
                name: "".join(self._template.blocks[name](context)).strip()
                for name in BLOCKS
                if name in self._template.blocks
            }
        except Exception as e:  # noqa: BLE001 - a template can raise anything; it must never take the request's text along
            raise RenderError(f"template {self.version}/{self.name} failed: {type(e).__name__}") from None
        said = list(values.get("messages") or ())
        before = [{"role": "system", "content": texts["system"]}] if texts.get("system") else []
        after = [{"role": "user", "content": texts["user"]}] if texts.get("user") else []
        return before + said + after


@dataclass(frozen=True)
class Catalogue:
    """Tasks by version and name."""

    versions: Mapping[str, Mapping[str, Task]]

    def task(self, version: str, name: str) -> Task | None:
        return self.versions.get(version, {}).get(name)


def load_catalogue(names: Iterable[str], folder: Path = FOLDER) -> Catalogue:
    """Every version that ``folder`` holds; each must have all of ``names``. Raises TaskFilesError."""
    wanted = sorted(names)
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # prompts are no HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    faults: list[str] = []
    versions: dict[str, dict[str, Task]] = {}
    for path in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("_")):
        tasks = versions[path.name] = {}
        for name in wanted:
            try:
                tasks[name] = _load_task(environment, path, name)
            except (OSError, msgspec.DecodeError, jinja2.TemplateError, ValueError) as e:
                faults.append(f"{path / name}: {e}")
    if faults:
        raise TaskFilesError("\n".join(faults))
    return Catalogue(versions)


def _load_task(environment: jinja2.Environment, folder: Path, name: str) -> Task:
    schemas = msgspec.json.decode((folder / f"{name}.schema.json").read_bytes(), type=Schemas)
    template = environment.from_string((folder / f"{name}.j2").read_text("utf-8"))
    if not set(template.blocks) & set(BLOCKS):
        raise ValueError(f"the template has none of the blocks {', '.join(BLOCKS)}")
    validator = jsonschema_rs.Draft202012Validator
    return Task(
        name,
        folder.name,
        schemas,
        template,
        validator(schemas.request, mask="value"),
        validator(schemas.answer, mask="value"),
    )


def _fault(error: jsonschema_rs.ValidationError) -> Fault:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
    if error.kind.name == "additionalProperties":
        # The library's words would name the unknown keys, which are the client's text.
        return Fault(f"${path}", "has a property that is not known here")
    return Fault(f"${path}", error.message)
