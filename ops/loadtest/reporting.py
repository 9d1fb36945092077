"""What a load run leaves in its folder: ``report.json``, from which the others are made, a page and JUnit's XML."""

from __future__ import annotations

from pathlib import Path

from ops.loadtest.judging import Assessment
from ops.loadtest.reporting_document import Document, document_bytes
from ops.loadtest.reporting_figures import document
from ops.loadtest.reporting_junit import junit_xml
from ops.loadtest.run import Run
from ops.report.load_page import load_page
from ops.spec.model import Spec

JSON_NAME, PAGE_NAME, JUNIT_NAME = "report.json", "report.html", "junit.xml"


def write_reports(run: Run, spec: Spec, assessment: Assessment, folder: Path) -> Document:
    """Raises OSError. The JSON is written first: what is left of a full disk is for what can be made anew from it."""
    made = document(run, spec, assessment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_NAME).write_bytes(document_bytes(made))
    (folder / JUNIT_NAME).write_bytes(junit_xml(made))
    (folder / PAGE_NAME).write_text(load_page(made), encoding="utf-8")
    return made
