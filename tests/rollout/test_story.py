"""A rollout told afterwards: what was served by which arm, when nothing could be seen, and the page that shows it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import TIER, Kill, World, release
from ops.adapters.rollout_file import Recording, RolloutFileError, read_recording, write_recording
from ops.cli.main import main
from ops.cli.rollout_story_view import decisions_that_mattered, story, story_json, story_page, story_text
from ops.report.rollout_story import changes, evidence
from ops.rollout.commanding import pause, resume
from ops.rollout.states import State
from ops.store.rollouts import JournalLine
from serving.contract import Arm, BadEvent

Build = Callable[..., World]


def recorded(world: World) -> Recording:
    assert world.rollout is not None
    since = world.rollout.created_at
    lines = [(at, entry) for at, entry in world.journal if at >= since]
    journal = tuple(JournalLine(i, at, TIER, world.rollout.id, entry) for i, (at, entry) in enumerate(lines, 1))
    return Recording(world.rollout, journal, tuple(world.looks))


@pytest.fixture
def eventful(world: Build) -> Recording:
    """Promoted, after blindness, a pause by jo and a suspension."""
    one = world(behaviours={"next": Behaviour()}, requests_per_second=100)
    one.begin(release("next"))
    one.run(until=State.ANALYSING)
    one.run(seconds=4)
    one.gateways[1].counting = False
    one.run(seconds=8)
    one.gateways[1].counting = True
    one.run(seconds=6)
    one.command(lambda so_far: pause(so_far, one.now, "jo", "<b>lunch</b>"))
    one.run(seconds=5)
    one.command(lambda so_far: resume(so_far, one.now, "jo", ""))
    one.kill = Kill(one.ticks + 4, saved=True, seconds=one.plan.lease_seconds + 5)
    one.run(until=State.SUSPENDED)
    assert one.to_the_end() is State.PROMOTED
    return recorded(one)


@pytest.fixture
def bad(world: Build) -> Recording:
    one = world(behaviours={"next": Behaviour(empty_rate=0.6)})
    one.begin(release("next"))
    assert one.to_the_end() is State.ROLLED_BACK
    return recorded(one)


def test_requests_and_bad_events_are_those_the_arms_got(world: Build) -> None:
    one = world(behaviours={"next": Behaviour(failed_rate=0.3)}, requests_per_second=100)
    one.begin(release("next"))
    one.run(until=State.ROLLING_BACK)
    totals = story(recorded(one)).traffic[-1].by_arm
    served = {arm: sum(gateway.served["next", arm] for gateway in one.gateways) for arm in Arm}
    assert totals[Arm.CANARY].assigned == served[Arm.CANARY] > 0
    failed = totals[Arm.CANARY].bad[BadEvent.FAILED]
    assert 0.1 < failed / totals[Arm.CANARY].assigned < 0.5
    assert totals[Arm.BASELINE].bad.get(BadEvent.FAILED, 0) <= 2


def test_what_a_worker_did_not_show_is_never_counted_as_a_leap(eventful: Recording) -> None:
    told = story(eventful)
    (span,) = [span for span in told.blind if span.reasons[0].startswith("w2 gave no counters")]
    assert (span.looks, span.until - span.since) == (8, 8)
    assert not [point for point in told.traffic if span.since <= point.at < span.until]


def test_evidence_is_drawn_with_a_gap_where_nobody_looked(eventful: Recording) -> None:
    for against in (True, False):
        for series, needed in evidence(story(eventful), against=against):
            assert needed > 1
            gaps = [x for x, y in zip(series.seconds, series.values, strict=True) if y != y]
            assert gaps, series.name


def test_the_changes_are_those_that_stopped_it_or_set_it_going(eventful: Recording, bad: Recording) -> None:
    words = [change.words for change in changes(story(eventful))]
    assert words == ["paused, by hand", "resumed, by hand", "suspended; resumed", "promoted"]
    assert [change.words for change in changes(story(bad))] == ["rolled back"]


def test_the_decisions_that_mattered_name_who_or_what_decided(eventful: Recording) -> None:
    said = [(d.line.entry.event or d.line.entry.kind, d.look is not None) for d in decisions_that_mattered(eventful)]
    assert said == [
        ("started", False),
        ("pause", False),
        ("resume", False),
        ("suspend", False),
        ("resume", False),
        ("advance", True),
        ("advance", True),
        ("promote", True),
    ]
    text = story_text(eventful)
    assert "jo: analysing → paused: <b>lunch</b>" in text
    assert re.search(r"judge, look \d+: analysing → promoting", text)
    assert "8 s, 8 looks: w2 gave no counters" in text


def test_the_page_needs_no_network_and_trusts_no_words(eventful: Recording, bad: Recording) -> None:
    for recording in (eventful, bad):
        page = story_page(recording)
        outside = re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*|url\((?!#)[^)]*|@import""", page)
        assert not outside
        assert "<script" not in page
        for part in ("Weights, by the routing tables", "Requests a second", "Evidence that the release is worse"):
            assert part in page
    page = story_page(eventful)
    assert "&lt;b&gt;lunch&lt;/b&gt;" in page
    assert "<b>lunch" not in page
    assert "w2 gave no counters" in page
    assert re.search(r"judge, look \d+", page)


def test_the_json_says_the_same(bad: Recording) -> None:
    schema, said = story_json(bad)
    assert schema == "gratefulgpt.rollout-story/1"
    assert json.loads(json.dumps(said)) == said
    assert said["looks"]["roll_back"] == 1  # type: ignore[index]
    requests = said["requests"]
    assert isinstance(requests, dict)
    assert requests["canary"]["bad"]["empty"] > 0.4 * requests["canary"]["assigned"]


# --- As a file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rollout.json", "rollout.json.gz"])
def test_a_rollout_comes_back_from_its_file_as_it_was(eventful: Recording, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_recording(eventful, path)
    first = path.read_bytes()
    assert read_recording(path) == eventful
    write_recording(read_recording(path), path)
    assert path.read_bytes() == first
    raw = gzip.decompress(first) if name.endswith(".gz") else first
    assert json.loads(raw)["schema"] == "gratefulgpt.rollout-record/1"


def test_a_file_is_replayed_and_shown_without_a_controller(
    eventful: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rollout.json.gz"
    write_recording(eventful, path)
    assert main(["canary", "replay", str(path)]) == 0
    assert "every decision and figure as recorded" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["canary", "show", str(path), "--html", str(page)]) == 0
    assert page.read_text() == story_page(eventful)
    capsys.readouterr()
    assert main(["canary", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rollout"]["state"] == "promoted"


def test_a_file_that_was_meddled_with_fails(
    eventful: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rollout.json"
    write_recording(eventful, path)
    held = json.loads(path.read_text())
    held["looks"][5]["told"]["snapshots"][0]["cells"][0]["assigned"] += 1
    path.write_text(json.dumps(held))
    assert main(["canary", "replay", str(path)]) == 1
    assert "look 6: the samples are not those that were recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.json", None, "No such file"),
        ("broken.json", b"{", "is no exported rollout"),
        ("other.json", b'{"schema": "gratefulgpt.spec/1"}', "has the schema gratefulgpt.spec/1"),
        ("broken.json.gz", b"no gzip", "not compressed by gzip"),
        ("cut.json.gz", gzip.compress(b"{}" * 1000, mtime=0)[:20], "it is not whole"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RolloutFileError, match=said):
        read_recording(path)
    assert main(["canary", "replay", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
