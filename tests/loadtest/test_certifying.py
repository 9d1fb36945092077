"""The proof of an alert: each verdict's cause, judged from recorded observations, and what breaches name."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.delays import delay
from ops.alerting.links import page_of, runbook_url
from ops.alerting.model import Severity
from ops.alerting.rules import alerts, families
from ops.alerting.standing import NOT_TOLD, Standing
from ops.loadtest.causes import cause
from ops.loadtest.certifying.breaches import BREACHES, BY_NAME, Bad, share_seen
from ops.loadtest.certifying.judging import REQUESTS_MIN, blind_seconds, breach_seen, figures, judge
from ops.loadtest.certifying.observed import Bounds, Counted, Held, Look, Observed
from ops.loadtest.certifying.proving import Proof, before_seconds, bounds_of
from ops.loadtest.certifying.telling import certified_json
from ops.loadtest.certifying.watching import Watch
from ops.verdict import Outcome, Verdict
from serving.engine.simulated.profile import Faults

ROOT = Path(__file__).parents[2]
SPEC = load_spec(ROOT / "gratefulgpt.yaml")
GROUPS = tuple(group for some in families(SPEC).values() for group in some)
ALERTS = {alert.name: alert for alert in alerts(SPEC)}
OUTAGE = BY_NAME["outage"]
BOUNDS = Bounds(fire_seconds=100, resolve_seconds=200, blind_seconds=20, share=0.75)
RATE = 20
INJECTED, TAKEN_BACK = 30.0, 70.0
TOLD = Held("ServiceOutage", "critical", runbook_url("ServiceOutage", SPEC))
WATCHDOG = Held("Watchdog", "info", "")


def requests(at: float, bad_share: float = 1.0, bad_until: float = TAKEN_BACK) -> dict[str, Counted]:
    """At a steady rate; from the breach on this share is bad."""
    bad = round(max(0.0, min(at, bad_until) - INJECTED) * RATE * bad_share)
    return {"query": Counted(round(at * RATE), bad), "generation": Counted(0)}


def looks(
    fires: tuple[float, float] = (50, 120),
    told: tuple[float, float] = (52, 121),
    end: float = 130,
    held: Held = TOLD,
    others: Iterable[Held] = (),
    **seen: float,
) -> tuple[Look, ...]:
    """One a second. Prometheus has the alert firing, and Alertmanager holds it, from one time to another."""

    def one(at: float) -> Look:
        names = {"Watchdog"} | ({"ServiceOutage"} if fires[0] <= at < fires[1] else set())
        here = [WATCHDOG, *others, *([held] if told[0] <= at < told[1] else [])]
        return Look(at, requests(at, **seen), frozenset(names), tuple(here))

    return tuple(one(float(at)) for at in range(round(end) + 1))


def trial(**changed: object) -> Observed:
    sound = Observed(
        OUTAGE, BOUNDS, 1_700_000_000.0, looks(), INJECTED, TAKEN_BACK, page="runbooks/ServiceOutage.md"
    )
    return replace(sound, **changed)  # type: ignore[arg-type]


def words(verdict: Verdict) -> str:
    return "\n".join(item.text for item in verdict.evidence)


def causes(verdict: Verdict) -> set[object]:
    return {item.values["cause"] for item in verdict.evidence if "cause" in item.values}


def faults(verdict: Verdict) -> set[object]:
    return {item.values["fault"] for item in verdict.evidence if "fault" in item.values}


# --- Pass -------------------------------------------------------------------------------------------------------


def test_an_alert_that_fires_in_time_leads_to_its_page_and_ends_passes_with_every_figure():
    seen = trial()
    verdict, found = judge(seen), figures(seen)
    assert verdict.outcome is Outcome.PASS
    assert (found.prometheus_seconds, found.alertmanager_seconds, found.resolved_seconds) == (20.0, 22.0, 51.0)
    assert found.injected_unix_seconds == 1_700_000_030.0
    assert (found.before, found.during) == (Counted(600, 0), Counted(800, 800))
    assert words(verdict).splitlines() == [
        "ServiceOutage: the engines answer every request with an error; of the client's requests 0.0 % were failed or "
        "late before (600), 100.0 % during it (800)",
        "ServiceOutage: fired in Prometheus after 20.0 s, in Alertmanager after 22.0 s (100 s allowed)",
        f"ServiceOutage: its runbook is {runbook_url('ServiceOutage', SPEC)}, here runbooks/ServiceOutage.md",
        "ServiceOutage: over 51.0 s after the breach was taken back (200 s allowed)",
    ]


def test_another_page_besides_the_right_alert_is_told_and_does_not_fail_it():
    verdict = judge(trial(looks=looks(others=[Held("NoEngine", "critical", "")])))
    assert verdict.outcome is Outcome.PASS
    assert "besides it paged NoEngine" in words(verdict)


# --- Fail -------------------------------------------------------------------------------------------------------

NEVER = (1e9, 1e9)


def test_an_alert_that_does_not_fire_fails():
    verdict = judge(trial(looks=looks(fires=NEVER, told=NEVER, bad_until=130), taken_back=130.0))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"not_told"})
    assert verdict.evidence[0].text == "ServiceOutage: it did not fire within 100 s"


def test_another_page_instead_is_named():
    others = [Held("HighErrorRate", "critical", ""), Held("CpuBusy", "warning", "")]
    verdict = judge(trial(looks=looks(fires=NEVER, told=NEVER, others=others)))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.evidence[0].text == "ServiceOutage: it did not fire within 100 s; instead paged: HighErrorRate"


def test_an_alert_that_prometheus_has_and_alertmanager_never_hears_of_fails():
    verdict = judge(trial(looks=looks(told=NEVER)))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"not_told"})
    assert "it fired in Prometheus after 20 s and was unknown to Alertmanager" in words(verdict)


def test_an_alert_that_is_kept_silent_fails_and_it_says_by_what():
    verdict = judge(trial(looks=looks(held=replace(TOLD, silent_by="inhibited by NoEngine"))))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"not_told"})
    assert "kept silent (inhibited by NoEngine)" in words(verdict)


def test_an_alert_that_fires_after_its_bound_fails():
    verdict = judge(trial(bounds=replace(BOUNDS, fire_seconds=21)))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"late"})
    assert "it took 22 s, 21 s are its bound" in words(verdict)


def test_a_link_that_leads_nowhere_fails():
    verdict = judge(trial(page=None, looks=looks(held=replace(TOLD, runbook_url="https://example.org/x"))))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"no_runbook"})
    assert "leads nowhere: https://example.org/x" in words(verdict)
    assert "it has none" in words(judge(trial(page=None, looks=looks(held=replace(TOLD, runbook_url="")))))


@pytest.mark.parametrize("end", [130, 300])
def test_an_alert_that_does_not_end_though_requests_are_well_again_fails(end):
    verdict = judge(trial(looks=looks(told=(52, 290), end=end), bounds=replace(BOUNDS, resolve_seconds=50)))
    assert (verdict.outcome, faults(verdict)) == (Outcome.FAIL, {"not_resolved"})
    assert "it still fired 50 s after the breach was taken back" in words(verdict)


# --- Invalid ----------------------------------------------------------------------------------------------------


def test_a_breach_that_the_client_did_not_see_is_invalid_even_where_the_alert_fired():
    verdict = judge(trial(looks=looks(bad_share=0.5)))
    assert (verdict.outcome, causes(verdict)) == (Outcome.INVALID, {"no_breach"})
    assert "50.0 % of 800 requests were failed or late, and the rule asks for 75%" in words(verdict)


def test_requests_that_were_bad_before_the_breach_make_it_invalid():
    before = tuple(replace(look, requests={"query": Counted(1000 + round(RATE * look.at), round(RATE * look.at))})
                   for look in looks())  # fmt: skip
    verdict = judge(trial(looks=before))
    assert (verdict.outcome, causes(verdict)) == (Outcome.INVALID, {"unwell_before"})


def test_hardly_any_load_is_invalid():
    few = tuple(replace(look, requests={"query": Counted(REQUESTS_MIN - 1)}) for look in looks())
    verdict = judge(trial(looks=few))
    assert verdict.outcome is Outcome.INVALID
    assert causes(verdict) == {"no_load", "no_breach"}


def test_a_generator_that_was_ill_makes_it_invalid():
    ill = cause("generator_error", "the generator local broke: x")
    verdict = judge(trial(generator=(ill,)))
    assert (verdict.outcome, causes(verdict)) == (Outcome.INVALID, {"generator_error"})


def test_an_alert_that_fires_before_the_breach_makes_it_invalid_and_nothing_is_broken():
    loud = cause("not_quiet", "before the breach: NoEngine (critical) fires")
    verdict = judge(trial(looks=looks()[:31], injected=None, taken_back=None, hindered=(loud,)))
    assert (verdict.outcome, causes(verdict)) == (Outcome.INVALID, {"not_quiet"})


def test_prometheus_or_alertmanager_away_for_too_long_is_invalid():
    away = tuple(Look(look.at, look.requests, blind="Prometheus is away") if 80 < look.at < 102 else look
                 for look in looks())  # fmt: skip
    assert blind_seconds(away) == 22
    verdict = judge(trial(looks=away))
    assert (verdict.outcome, causes(verdict)) == (Outcome.INVALID, {"monitoring_blind"})
    assert "for 22 s it could not be seen which alerts fire: Prometheus is away" in words(verdict)
    assert judge(trial(looks=away, bounds=replace(BOUNDS, blind_seconds=22))).outcome is Outcome.PASS


def test_a_monitoring_that_never_answers_is_blind_all_the_time():
    away = tuple(Look(look.at, look.requests, blind="gone") for look in looks())
    assert blind_seconds(away) == 130
    assert "monitoring_blind" in causes(judge(trial(looks=away)))


def test_an_alert_that_goes_on_because_requests_are_still_bad_is_no_fail():
    verdict = judge(trial(looks=looks(fires=(50, 1e9), told=(52, 1e9), bad_until=1e9)))
    assert verdict.outcome is Outcome.INVALID
    assert causes(verdict) == {"unwell_after"}


def test_a_breach_that_could_not_be_taken_back_is_told_first_whatever_else_was_seen():
    for interrupted in ("", "SIGINT"):
        verdict = judge(trial(stuck="http://x does not answer", interrupted=interrupted))
        assert verdict.outcome is Outcome.INVALID
        assert verdict.evidence[0].values["cause"] == "stuck"


# --- Inconclusive -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [10, 40, 60, 100])
def test_a_trial_that_was_broken_off_is_inconclusive_whenever_it_was(until):
    injected = INJECTED if until > INJECTED else None
    taken_back = min(float(until), TAKEN_BACK) if injected else None
    seen = trial(looks=looks()[: until + 1], injected=injected, taken_back=taken_back, interrupted="SIGINT")
    verdict = judge(seen)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "broken off (SIGINT)" in verdict.evidence[0].text


# --- Quiet ------------------------------------------------------------------------------------------------------


def watch(*severities: str, told: str = "told nobody") -> Watch:
    """Of a monitoring with the Watchdog and an alert of each of these severities."""
    found = Watch("http://127.0.0.1:1", "http://127.0.0.1:2")
    named = [("Watchdog", "info"), *((f"An{severity}", severity) for severity in severities)]
    found.standing = tuple(
        Standing({"alertname": name, "severity": severity}, "2026-11-30T07:00:00Z", told, "", "", "")
        for name, severity in named
    )
    return found


@pytest.mark.parametrize(
    ("severities", "pages_only", "quiet"),
    [
        ((), False, True),
        (("info",), False, True),
        (("warning",), False, False),
        (("critical",), False, False),
        (("warning", "info"), True, True),
        (("warning", "critical"), True, False),
    ],
)
def test_quiet_is_when_nothing_fires_that_somebody_has_to_act_on(severities, pages_only, quiet):
    found = watch(*severities).unquiet(pages_only)
    assert bool(found) != quiet
    assert {one.values["cause"] for one in found} <= {"not_quiet"}


def test_without_a_watchdog_that_alertmanager_knows_nothing_is_quiet():
    lost = watch()
    lost.standing = ()
    for one in (lost, watch(told=NOT_TOLD)):
        (only,) = one.unquiet(pages_only=True)
        assert only.values["cause"] == "watchdog"


# --- Breaches and bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("breach", BREACHES, ids=lambda one: one.name)
def test_a_breach_names_an_alert_of_the_catalogue_that_pages_and_has_a_page(breach):
    alert = ALERTS[breach.alert]
    assert alert.severity is Severity.CRITICAL
    assert f"# {breach.alert}\n" in (ROOT / "runbooks" / f"{breach.alert}.md").read_text()
    assert page_of(runbook_url(breach.alert, SPEC), SPEC) == f"{breach.alert}.md"


def test_each_breach_breaks_something_and_no_two_wait_for_the_same_alert():
    assert all(bool(one.faults) != one.hang for one in BREACHES)
    assert len({one.alert for one in BREACHES}) == len(BREACHES)
    assert set(Faults.__struct_fields__) >= {name for one in BREACHES for name in one.faults}


@pytest.mark.parametrize("breach", [one for one in BREACHES if not one.hang], ids=lambda one: one.name)
def test_the_share_that_a_breach_must_show_is_that_of_its_rule(breach):
    share = breach.share(SPEC)
    assert 0 < share < 1
    assert f"> {share:.10g}" in ALERTS[breach.alert].expression or f"<= {share:.10g}" in ALERTS[breach.alert].expression


def test_only_links_into_the_folder_of_runbooks_lead_to_a_page():
    base = SPEC.alerting.links.runbooks
    assert page_of(f"{base}/a.md", SPEC) == "a.md"
    for other in ("", base, f"{base}/", f"{base}/../a.md", "https://example.org/a.md", f"x{base}/a.md"):
        assert page_of(other, SPEC) is None


def test_a_class_that_is_late_counts_by_itself_and_failures_count_as_late():
    counted = {"query": Counted(100, 10, 60), "generation": Counted(300, 0, 30), "completion": Counted()}
    assert share_seen(Bad.MISSED_BY_CLASS, counted) == Counted(100, 70)
    assert share_seen(Bad.MISSED, counted) == Counted(400, 100)
    assert share_seen(Bad.FAILED, counted) == Counted(400, 10)
    assert share_seen(Bad.MISSED_BY_CLASS, {}) == Counted()


def test_a_breach_is_seen_once_the_clients_requests_show_it_with_confidence():
    seen = trial(taken_back=None)
    assert not breach_seen(seen, INJECTED)
    assert breach_seen(seen, INJECTED + 1)
    assert not breach_seen(trial(looks=looks(bad_share=0.74)), TAKEN_BACK)
    assert not breach_seen(trial(injected=None), TAKEN_BACK)


def test_a_trial_waits_for_requests_enough_and_bounds_add_the_longest_time_out():
    assert before_seconds(SPEC, rate=10_000) == 2 * SPEC.alerting.evaluation_seconds
    assert before_seconds(SPEC, rate=1) == 200
    found = bounds_of(OUTAGE, SPEC, GROUPS, timeout_seconds=30.0)
    assert found.resolve_seconds == delay("ServiceOutage", GROUPS).resolve_seconds + 30
    assert found.share == SPEC.alerting.objectives.outage.bad_percent / 100


def test_the_json_has_each_figure_of_each_trial():
    seen = trial()
    document = certified_json(judge(seen), [Proof(seen, figures(seen), judge(seen))], scale=0.02, rate=20.0)
    (one,) = document["trials"]
    assert (one["breach"], one["alert"], one["outcome"]) == ("outage", "ServiceOutage", Outcome.PASS)
    assert (one["alertmanager_seconds"], one["fire_seconds_max"]) == (22.0, 100)
    assert one["bad_requests"]["during"] == {"requests": 800, "bad": 800}
    assert one["runbook"] == "runbooks/ServiceOutage.md"
