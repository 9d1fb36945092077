"""A load run's verdict as JUnit's XML, which every CI shows: one test case for each target, and for what was found.

JUnit knows failures and errors. A target that is shown to be missed is a failure; inconclusive and invalid are errors,
because a skipped case would look green.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from ops.loadtest.reporting_document import Document
from ops.verdict import Outcome


@dataclass(frozen=True)
class _Case:
    group: str
    name: str
    seconds: float
    outcome: Outcome
    text: str


def junit_xml(document: Document) -> bytes:
    cases = list(_cases(document))
    failures = sum(one.outcome is Outcome.FAIL for one in cases)
    errors = sum(one.outcome in (Outcome.INVALID, Outcome.INCONCLUSIVE) for one in cases)
    seconds = document.ended_unix_seconds - document.started_unix_seconds
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors), "time": f"{seconds:.3f}"}
    root = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(root, "testsuite", {"name": f"load {document.suite}", **counts})
    for one in cases:
        names = {"classname": f"load.{document.suite}.{one.group}", "name": one.name, "time": f"{one.seconds:.3f}"}
        case = Xml.SubElement(suite, "testcase", names)
        if one.outcome is not Outcome.PASS:
            tag = "failure" if one.outcome is Outcome.FAIL else "error"
            Xml.SubElement(case, tag, {"type": one.outcome.value, "message": one.text})
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(document: Document) -> Iterator[_Case]:
    """The first is the instrument itself: where it was blind, no other case can be believed."""
    causes = [*document.invalid, *(text for phase in document.judged if phase.counts for text in phase.invalid)]
    instrument = Outcome.INVALID if causes else Outcome.INCONCLUSIVE if document.interrupted else Outcome.PASS
    words = "; ".join(causes) or f"the run ended early ({document.interrupted})"
    yield _Case("run", "the figures are the service's", 0.0, instrument, words)
    for phase in document.judged:
        if not phase.counts:
            continue
        for one in phase.targets:
            outcome, text = (Outcome.INVALID, "; ".join(causes)) if causes else (one.outcome, one.text)
            yield _Case(phase.name, f"{one.target} of {one.task_class}", phase.seconds, outcome, text)
    for found in document.found:
        if found.promised:
            outcome, text = (Outcome.INVALID, "; ".join(causes)) if causes else (found.outcome, found.text)
            yield _Case("found", found.text.partition(":")[0], 0.0, outcome, text)
