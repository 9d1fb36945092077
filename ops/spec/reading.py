"""From a document to a ``Spec``, or to every fault in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from ops.spec.contradictions import contradictions
from ops.spec.document import Node, locate, plain, renamed
from ops.spec.draft import Draft
from ops.spec.explaining import explain
from ops.spec.faults import Fault, Finding, SpecError, path_text
from ops.spec.model import Spec

MISSPELT_LEVELS_MAX = 8
"""Levels of misspelt keys, one below the other, that are taken for their nearest, so that what stands under them is
checked too. A spec has fewer."""


def read_spec(document: Node, file: str, faults: Sequence[Fault] = ()) -> Spec:
    """The spec that the document holds. ``faults`` are those known already, of the file's syntax, say.

    Raises SpecError, once, with these and every fault of types, ranges and contradictions.
    """
    document, placed = _misspellings_read(document, file)
    spec, findings = _examined(document)
    unread = {(fault.line, fault.column) for fault in faults}
    for finding in findings:
        fault = _placed(finding, document, file)
        # A value that could not even be read has its fault; that nothing stands in its place is no second one.
        if finding.at_key or finding.missing or (fault.line, fault.column) not in unread:
            placed.append(fault)
    placed += faults
    if placed or spec is None:
        raise SpecError(_each_once(placed))
    return spec


def _examined(document: Node) -> tuple[Spec | None, list[Finding]]:
    values = plain(document)
    try:
        spec, errors = Spec.model_validate(values), []
    except ValidationError as e:
        spec, errors = None, e.errors(include_url=False)
    draft = Draft(values, frozenset(error["loc"] for error in errors))
    return spec, [*explain(errors, Spec), *contradictions(draft)]


def _misspellings_read(document: Node, file: str) -> tuple[Node, list[Fault]]:
    """The document with misspelt keys put right, as far as a missing one is near, and a fault for each of them."""
    faults: list[Fault] = []
    for _ in range(MISSPELT_LEVELS_MAX):
        _, findings = _examined(document)
        missing = {(*finding.path, finding.missing) for finding in findings if finding.missing}
        before = len(faults)
        for finding in findings:
            if not (finding.at_key and finding.nearest):
                continue
            meant = (*finding.path[:-1], finding.nearest)
            if meant in missing:
                missing.remove(meant)
                faults.append(_placed(finding, document, file))
                document = renamed(document, finding.path, finding.nearest)
        if len(faults) == before:
            break
    return document, faults


def _placed(finding: Finding, document: Node, file: str) -> Fault:
    mark = locate(document, finding.path, at_key=finding.at_key)
    return Fault(
        file,
        mark.line,
        mark.column,
        path_text(finding.path),
        finding.message,
        finding.found,
        finding.expected,
        finding.nearest,
    )


def _each_once(faults: Iterable[Fault]) -> list[Fault]:
    """In the order of the file; what an alias repeats is said once."""
    seen: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        seen.setdefault((fault.line, fault.column, fault.message, fault.found, fault.expected), fault)
    return sorted(seen.values(), key=lambda fault: (fault.line, fault.column, fault.path, fault.message))
