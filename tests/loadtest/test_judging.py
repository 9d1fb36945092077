"""The verdict of a run: each cause of an invalid one is provoked for real, by a short run against a fake service."""

import os
import signal
import time
from dataclasses import replace

import pytest

from ops.loadtest.judging import assess, assessed
from ops.loadtest.scraping import scraped
from ops.loadtest.server_side import server
from ops.verdict import Outcome
from tests.loadtest.judged_runs import QUERY, SPEC, STREAMED, FakeService, driven, loose, plan, scraped_run, serving

pytestmark = pytest.mark.server


def _causes(verdict):
    return {one.values["cause"] for one in verdict.evidence if "cause" in one.values}


def test_a_sound_run_of_enough_requests_passes():
    with serving(FakeService()) as service:
        run = scraped_run(service, plan(service, 1500, 2.2))
    verdict = assessed(run, SPEC)
    assert verdict.outcome is Outcome.PASS, verdict
    assert len(verdict.evidence) == 2  # latency and errors


def test_too_few_requests_are_inconclusive_and_it_says_how_many_are_needed():
    with serving(FakeService()) as service:
        run = driven(plan(service, 100, 0.5))
    verdict = assessed(loose(run), SPEC)
    assert verdict.outcome is Outcome.INCONCLUSIVE, verdict
    assert any(one.values.get("requests_needed") == 2995 for one in verdict.evidence)


def test_slow_answers_fail():
    with serving(FakeService(delay=lambda number: 0.6)) as service:
        run = driven(plan(service, 200, 1))
    verdict = assessed(loose(run), SPEC)
    assert verdict.outcome is Outcome.FAIL, verdict


def test_failed_requests_are_misses_of_the_latency_target_however_fast():
    with serving(FakeService(status=lambda number: 500 if number % 4 == 0 else 200)) as service:
        run = driven(plan(service, 400, 1))
    assessment = assess(loose(run), SPEC)
    by_target = {one.target: one for one in assessment.phases[0].targets}
    assert by_target["latency"].misses.misses == by_target["errors"].misses.misses == 100
    assert by_target["latency"].verdict.outcome is Outcome.FAIL


def test_a_generator_that_stood_still_is_invalid():
    def stop(process):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(SPEC.load.validity.generator_silence_seconds_max + 0.7)  # as long as a stop must be to be a cause
        os.kill(process.pid, signal.SIGCONT)

    with serving(FakeService()) as service:
        run = driven(plan(service, 100, 5), meanwhile=stop)
    verdict = assessed(run, SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert {"send_lag", "generator_silent"} <= _causes(verdict)


def test_a_generator_that_was_killed_is_invalid():
    with serving(FakeService()) as service:
        run = driven(plan(service, 100, 5), meanwhile=lambda process: process.kill())
    verdict = assessed(run, SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert "no_final_report" in _causes(verdict)


def test_a_generator_that_broke_by_itself_is_invalid_and_says_how():
    """It has nothing to draw requests from, which ends it with its final report."""
    with serving(FakeService()) as service:
        run = driven(plan(service, 100, 5, requests=()))
    verdict = assessed(run, SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert "generator_error" in _causes(verdict)
    assert "the generator local broke: tuple index out of range" in verdict.evidence[0].text


def test_a_generator_that_is_short_of_cpu_is_invalid():
    with serving(FakeService()) as service:
        run = driven(plan(service, 200_000, 4, connections_max=50, waiting_max=100))
    # A core to itself no test can count on: so much of one a driver in trouble has everywhere.
    validity = SPEC.load.validity.model_copy(update={"generator_cpu_percent_max": 10.0, "generator_cpu_seconds": 1.0})
    verdict = assessed(run, SPEC.model_copy(update={"load": SPEC.load.model_copy(update={"validity": validity})}))
    assert verdict.outcome is Outcome.INVALID
    assert {"dropped", "generator_cpu"} <= _causes(verdict)


def test_a_generator_with_cpu_to_spare_is_not_said_to_lack_it():
    with serving(FakeService()) as service:
        run = driven(plan(service, 50, 2))
    assert "generator_cpu" not in _causes(assessed(run, SPEC))


def test_arrivals_that_were_dropped_are_invalid():
    with serving(FakeService(delay=lambda number: 1.0)) as service:
        run = driven(plan(service, 200, 1, connections_max=5, waiting_max=10))
    verdict = assessed(run, SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert "dropped" in _causes(verdict)
    assert run.cells[0, 0].counts["dropped"] > 100


def test_requests_under_way_at_the_end_are_invalid():
    with serving(FakeService(never=lambda number: number == 50)) as service:
        run = driven(plan(service, 100, 1, drain_seconds_max=0.5))
    verdict = assessed(loose(run), SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert _causes(verdict) == {"in_flight"}


def test_requests_that_were_never_recorded_are_invalid():
    """What a killed driver had under way is intended, and never heard of again."""

    def kill(process):
        process.kill()

    with serving(FakeService(delay=lambda number: 3.0)) as service:
        run = driven(plan(service, 100, 5), meanwhile=kill)
    verdict = assessed(run, SPEC)
    assert "unrecorded" in _causes(verdict)


@pytest.mark.parametrize("service", [FakeService(tokens_told=4), FakeService(usage=False)])
def test_tokens_that_do_not_reconcile_with_the_usage_are_invalid(service):
    with serving(service):
        run = driven(plan(service, 100, 0.5, STREAMED))
    verdict = assessed(loose(run), SPEC)
    assert verdict.outcome is Outcome.INVALID
    assert _causes(verdict) == {"tokens"}


def test_streams_whose_tokens_reconcile_are_judged_by_first_token_and_by_time_per_token():
    with serving(FakeService()) as service:
        run = driven(plan(service, 200, 1, STREAMED))
    assessment = assess(loose(run), SPEC)
    outcomes = {one.target: one.verdict.outcome for one in assessment.phases[0].targets}
    assert outcomes == {
        "latency": Outcome.PASS,
        "first token": Outcome.PASS,
        "time per token": Outcome.PASS,
        "errors": Outcome.INCONCLUSIVE,
    }


@pytest.mark.parametrize(("lie", "causes"), [(1.0, set()), (10.0, {"server_shares"})])
def test_a_gateway_that_says_it_was_slower_than_it_was_is_invalid(lie, causes):
    with serving(FakeService(delay=lambda number: 0.06, lie=lie)) as service:
        verdict = assessed(scraped_run(service, plan(service, 100, 1)), SPEC)
    assert _causes(verdict) == causes
    assert (verdict.outcome is Outcome.INVALID) == bool(causes)


def test_a_gateway_that_answered_others_too_is_invalid():
    with serving(FakeService()) as service:
        run = scraped_run(service, plan(service, 100, 1), lambda: driven(plan(service, 100, 0.5)))
    assert _causes(assessed(run, SPEC)) == {"server_counts"}


def test_a_gateway_that_started_anew_during_the_run_is_invalid():
    with serving(FakeService()) as service:
        run = scraped_run(service, plan(service, 100, 0.5), lambda: setattr(service, "instance", "two"))
    verdict = assessed(run, SPEC)
    assert _causes(verdict) == {"server_blind"}
    assert "started anew" in verdict.evidence[0].text


def test_a_gateway_that_could_not_be_read_is_invalid_and_one_that_nobody_asked_is_not():
    with serving(FakeService()) as service:
        run = loose(driven(plan(service, 100, 0.5)))
    assert not _causes(assessed(run, SPEC))
    gone = server([*scraped([f"http://127.0.0.1:{service.port}/metrics"])] * 2)
    assert _causes(assessed(replace(run, server=gone), SPEC)) == {"server_blind"}


def test_a_worker_that_was_lost_is_invalid_and_so_is_a_run_without_any_generator():
    with serving(FakeService()) as service:
        run = loose(driven(plan(service, 100, 0.5)))
    assert _causes(assessed(replace(run, lost=("worker-2",)), SPEC)) == {"worker_lost"}
    assert "no_generator" in _causes(assessed(replace(run, generators=()), SPEC))


def test_a_warm_up_is_left_out_of_every_figure():
    from ops.loadtest.plan import Phase, Rate

    with serving(FakeService(delay=lambda number: 0.6 if number <= 100 else 0.0)) as service:
        phases = (Phase("warm-up", 0.5, measured=False), Phase("steady", 0.5))
        run = driven(plan(service, 200, 1, QUERY, phases=phases, rates=(Rate(1, 200, 200),)))
    (phase,) = assess(loose(run), SPEC).phases
    assert (phase.name, phase.targets[0].misses.misses) == ("steady", 0)


def test_a_run_that_ended_early_is_no_pass():
    with serving(FakeService()) as service:
        run = loose(driven(plan(service, 1500, 2.2)))
    verdict = assessed(replace(run, interrupted="Ctrl-C"), SPEC)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "ended early" in verdict.evidence[0].text
