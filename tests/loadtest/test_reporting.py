"""Reports of a real run, read as their readers would."""

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from ops.loadtest.judging import assess
from ops.loadtest.reporting import JSON_NAME, JUNIT_NAME, PAGE_NAME, write_reports
from ops.loadtest.reporting_document import SCHEMA, Unreadable, read_document
from ops.loadtest.reporting_terminal import print_summary
from ops.loadtest.tallies import tally
from tests.loadtest.judged_runs import SPEC, STREAMED, FakeService, driven, loose, plan, serving

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def run():
    with serving(FakeService(status=lambda number: 503 if number % 10 == 0 else 200)) as service:
        return loose(driven(plan(service, 200, 2.5, STREAMED)))


@pytest.fixture
def written(run, tmp_path):
    write_reports(run, SPEC, assess(run, SPEC), tmp_path)
    return tmp_path


def test_the_json_holds_all_that_was_recorded_and_says_its_schema(run, written):
    assert json.loads((written / JSON_NAME).read_text())["schema"] == SCHEMA == "gratefulgpt.load/1"
    document = read_document(written / JSON_NAME)
    assert document.verdict.outcome.value == "fail"
    assert document.suite == "smoke"
    assert document.recorded() == dict(run.cells)
    (figures,) = document.figures
    assert (figures.requests, figures.answered, figures.failed) == (500, 450, {"status.503": 50})
    # a tenth failed: they rank above every answer, so that p95 falls on one of them
    assert figures.percentiles["latency"]["95"] is None
    assert figures.percentiles["latency"]["50"] == tally(run.plan.kinds, run.cells).percentile("latency", 50)
    assert sum(moment.answered for moment in document.moments) == 450


def test_the_json_holds_no_request(written):
    assert "POST /stream" not in (written / JSON_NAME).read_text()


def test_a_file_of_another_schema_is_refused_by_its_name(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"schema": "gratefulgpt.load/2"}')
    with pytest.raises(Unreadable, match=r"schema gratefulgpt\.load/2"):
        read_document(path)
    path.write_text("{")
    with pytest.raises(Unreadable, match=r"no report of a load run \(report.json\)"):
        read_document(path)
    with pytest.raises(Unreadable, match="cannot be read"):
        read_document(tmp_path / "none.json")


def test_the_terminal_says_the_verdict_why_and_the_figures(written):
    out = io.StringIO()
    print_summary(read_document(written / JSON_NAME), out)
    lines = out.getvalue().splitlines()
    assert lines[0].rstrip() == "smoke: FAIL"
    assert "50 of 500 requests missed it (10.00%, 5.00% allowed)" in lines[1]
    row = next(line.split() for line in lines if line.split()[:2] == ["steady", "query"])
    assert row[2:5] == ["500", "200.0", "50"]
    assert row[-1] == "fail"


def test_a_long_run_is_kept_in_few_windows(run):
    from ops.loadtest.plan import Phase
    from ops.loadtest.run import WINDOWS_MAX, Collecting

    long = Collecting("endurance", replace_phases(run.plan, (Phase("steady", 14_400),)), 0.0)
    assert long.window_seconds == 14_400 // WINDOWS_MAX


def replace_phases(plan, phases):
    import msgspec

    return msgspec.structs.replace(plan, phases=phases)


def test_an_invalid_run_says_its_causes_first(run, tmp_path):
    lost = replace(run, lost=("worker-1",))
    write_reports(lost, SPEC, assess(lost, SPEC), tmp_path)
    out = io.StringIO()
    print_summary(read_document(tmp_path / JSON_NAME), out)
    lines = out.getvalue().splitlines()
    assert lines[0].rstrip() == "smoke: INVALID"
    assert "a worker was lost: worker-1" in lines[1]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.pictures, self.outside = "", 0, []

    def handle_starttag(self, tag, attrs):
        self.pictures += tag == "svg"
        named = {name: value for name, value in attrs if name in ("src", "href", "xlink:href")}
        self.outside += [value for value in named.values() if not value.startswith("#")]
        self.outside += [tag] if tag in ("script", "link", "img", "iframe") else []

    def handle_data(self, data):
        self.text += data


def test_the_page_holds_its_pictures_and_reaches_for_nothing_outside(written):
    page = _Page()
    page.feed((written / PAGE_NAME).read_text())
    assert page.outside == []
    assert page.pictures == 3  # over time, by percentile, health
    assert "load suite smoke fail" in " ".join(page.text.split())
    assert "50 of 500 requests missed it" in page.text
    assert "Not compared: the gateway's metrics were not asked for" in page.text


def test_junit_has_a_case_for_each_target_and_fails_where_one_is_missed(written):
    root = ElementTree.parse(written / JUNIT_NAME).getroot()  # noqa: S314 - our own file
    cases = {case.get("name"): [(part.tag, part.get("type")) for part in case] for case in root.iter("testcase")}
    assert cases == {
        "the figures are the service's": [],
        "latency of query": [("failure", "fail")],
        "first token of query": [("failure", "fail")],
        "time per token of query": [("failure", "fail")],
        "errors of all": [("failure", "fail")],
    }
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "4", "0")


def test_junit_shows_no_target_of_an_invalid_run_as_green(run, tmp_path):
    lost = replace(run, lost=("worker-1",))
    write_reports(lost, SPEC, assess(lost, SPEC), tmp_path)
    root = ElementTree.parse(tmp_path / JUNIT_NAME).getroot()  # noqa: S314 - our own file
    assert root.get("tests") == root.get("errors") == "5"
