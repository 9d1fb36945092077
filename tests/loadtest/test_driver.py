"""Requests go out when they are due, whatever the server does, and each one that was due is accounted for."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from ops.loadtest.calls import DROPPED, INTENDED, LATE, OK, TOKENS, failures
from ops.loadtest.driver import Driver
from ops.loadtest.plan import Kind, Phase, Plan, Process, Rate
from ops.loadtest.recording import Measure, Recorder

from .fake_http import OK as ANSWER
from .fake_http import REQUEST, Caller, answering, serving, until

pytestmark = pytest.mark.server

KIND = Kind("x", "query", target_seconds=0.5, timeout_seconds=5.0, stream=False)
SECONDS_MAX = 60.0


def plan(port: int, **more) -> Plan:
    seconds, rate = more.pop("seconds", 1.0), more.pop("rate", 100.0)
    usual = {
        "kinds": (KIND,),
        "requests": ((0, REQUEST),),
        "phases": (Phase("all", seconds),),
        "rates": (Rate(seconds, rate, rate),) if rate else (),
        "process": Process.CONSTANT,
        "drain_seconds_max": 10.0,
    }
    return Plan(host="127.0.0.1", port=port, tls=False, **{**usual, **more})


def counts(driver: Driver) -> Counter[str]:
    """All of a run that is over; each request that was due is over too, in one way."""
    total = Recorder()
    for recorded in driver.taken().values():
        total.merge(recorded)
    found = total.counts
    assert found[INTENDED] == found[OK] + sum(failures(found).values())
    assert (driver.in_flight, driver.pool.waiting) == (0, 0)
    return found


def taken(driver: Driver, name: str) -> int:
    """Of one count, since the last look."""
    return sum(recorded.counts.get(name, 0) for recorded in driver.taken().values())


async def ran(driver: Driver) -> Counter[str]:
    await asyncio.wait_for(driver.run(), SECONDS_MAX)
    return counts(driver)


async def test_as_many_requests_as_the_plan_says_are_sent_and_answered():
    async with serving(answering) as server:
        found = await ran(Driver(plan(server.port, rate=200.0)))
    assert found[OK] == found[INTENDED] == pytest.approx(200, abs=1)


async def test_users_of_a_server_that_stands_still_wait_from_when_they_were_due():
    """One connection, and a server that sleeps a second at the first request: the others are due all the same."""

    async def script(caller: Caller) -> None:
        await caller.request()
        await asyncio.sleep(1.0)
        await caller.say(ANSWER)
        await answering(caller)

    async with serving(script) as server:
        driver = Driver(plan(server.port, connections_max=1))
        await asyncio.wait_for(driver.run(), SECONDS_MAX)
        total = Recorder()
        total.merge(driver.taken()[0, 0])
    latency, service = total.histograms[Measure.LATENCY], total.histograms[Measure.SERVICE]
    assert latency.count == pytest.approx(100, abs=1)
    assert latency.percentile(50) == pytest.approx(0.5, abs=0.2)  # due evenly over the second that it stood still
    assert service.percentile(50) < 0.2
    assert total.counts[LATE] == pytest.approx(50, abs=20)


async def test_kinds_and_phases_are_told_apart_by_when_requests_were_due():
    kinds = (KIND, Kind("y", "generation", 1.0, 5.0, stream=False))
    phases = (Phase("warm-up", 0.5, measured=False), Phase("steady", 0.5))
    async with serving(answering) as server:
        driver = Driver(plan(server.port, kinds=kinds, phases=phases, requests=((0, REQUEST), (1, REQUEST))))
        await asyncio.wait_for(driver.run(), SECONDS_MAX)
    by_cell = {key: recorded.counts[INTENDED] for key, recorded in driver.taken().items()}
    assert set(by_cell) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert by_cell[0, 0] + by_cell[0, 1] == pytest.approx(50, abs=1)


async def test_a_server_that_is_not_there_fails_every_request():
    async with serving(answering) as server:
        port = server.port
    found = await ran(Driver(plan(port, rate=300.0)))
    assert found["failed.connect"] == found[INTENDED] > 290


async def test_requests_that_are_not_answered_in_time_are_over_at_their_deadline():
    async def silent(caller: Caller) -> None:
        await asyncio.sleep(SECONDS_MAX)

    kind = Kind("x", "query", 0.1, 0.3, stream=False)
    async with serving(silent) as server:
        driver = Driver(plan(server.port, kinds=(kind,), connections_max=2))
        found = await ran(driver)
        elapsed = driver.elapsed_seconds
    assert found["failed.timeout"] == found[INTENDED] > 90  # those that waited for a connection included
    assert elapsed < 1.0 + 0.3 + 2.0


async def test_answers_that_are_late_or_refused_are_told_apart():
    async def script(caller: Caller) -> None:
        for number in range(100):
            await caller.request()
            if number % 2:
                await asyncio.sleep(0.2)
                await caller.say(ANSWER)
            else:
                await caller.say(b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n")

    kind = Kind("x", "query", 0.1, 5.0, stream=False)
    async with serving(script) as server:
        found = await ran(Driver(plan(server.port, kinds=(kind,), connections_max=1, rate=10.0)))
    assert found["status.429"] == 5
    assert found[OK] == found[LATE] == 5


async def test_what_cannot_even_wait_is_counted_as_dropped():
    async def silent(caller: Caller) -> None:
        await asyncio.sleep(SECONDS_MAX)

    async with serving(silent) as server:
        driver = Driver(plan(server.port, connections_max=1, waiting_max=10, drain_seconds_max=0.1))
        found = await ran(driver)
    assert found["failed.stopped"] == 11
    assert found[DROPPED] == found[INTENDED] - 11 > 80


async def test_no_more_connections_are_open_than_agreed():
    most = 0

    async def script(caller: Caller) -> None:
        nonlocal most
        await caller.request()
        most = max(most, driver.pool.open)
        await asyncio.sleep(0.1)
        await caller.say(ANSWER)
        await answering(caller)

    async with serving(script) as server:
        driver = Driver(plan(server.port, connections_max=4, rate=200.0))
        found = await ran(driver)
        assert len(server.callers) == 4
    assert found[OK] == found[INTENDED]
    assert most == 4


async def test_connections_that_the_server_closes_are_made_anew():
    async def once(caller: Caller) -> None:
        await caller.request()
        await caller.say(ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

    async with serving(once) as server:
        driver = Driver(plan(server.port, connections_max=3, rate=150.0))
        found = await ran(driver)
        assert len(server.callers) == found[INTENDED]
    assert found[OK] == found[INTENDED]
    await until(lambda: driver.pool.open == 0)


async def test_connections_are_held_for_users_who_stay_and_all_of_them_used():
    used: Counter[int] = Counter()

    async def script(caller: Caller) -> None:
        while True:
            await caller.request()
            used[caller.number] += 1
            await caller.say(ANSWER)

    async with serving(script) as server:
        driver = Driver(plan(server.port, connections_held=40, seconds=2.0, rate=200.0), share=0.5)
        running = asyncio.create_task(driver.run())
        await until(lambda: driver.pool.open == 20)
        await running
        assert len(server.callers) == 20
    assert len(used) == 20


async def test_a_share_that_grows_past_the_connections_that_may_be_made_holds_no_more_of_them():
    async with serving(answering) as server:
        shape = plan(server.port, connections_held=40, connections_max=20, seconds=1.0, rate=200.0)
        driver = Driver(shape, share=1.0)
        found = await ran(driver)
    assert driver.pool.hold == 20
    assert found[OK] == found[INTENDED] == 200
    assert driver.pool.waiting == 0


async def test_a_share_that_changes_changes_the_rate_at_once():
    async with serving(answering) as server:
        driver = Driver(plan(server.port, seconds=4.0, rate=200.0), share=0.0)
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(1.0)
        assert not driver.taken()
        driver.adjust(1.0, 0)
        await until(lambda: driver.elapsed_seconds > 2.0)
        first = taken(driver, INTENDED)
        driver.adjust(0.25, 0)
        await running
    second = taken(driver, INTENDED)
    assert first == pytest.approx(200, rel=0.25)
    assert second == pytest.approx(100, rel=0.25)


async def test_a_run_that_is_stopped_ends_early_and_keeps_what_it_has():
    async with serving(answering) as server:
        driver = Driver(plan(server.port, seconds=60.0))
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.5)
        driver.stop()
        await asyncio.wait_for(running, 5.0)
    assert 10 < counts(driver)[OK] < 200


async def test_a_generator_that_cannot_keep_up_still_listens_and_shows_its_lag():
    async with serving(answering) as server:
        driver = Driver(plan(server.port, seconds=60.0, rate=1e6, waiting_max=10_000, drain_seconds_max=0.1))
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.5)
        driver.stop()
        await asyncio.wait_for(running, 10.0)
        lag = driver._recorders[0, 0].histograms[Measure.SEND_LAG].percentile(95)
    assert lag > 0.05
    assert counts(driver)[OK] > 0


async def test_closed_users_think_between_requests_and_are_as_many_as_asked_for():
    most = 0

    async def script(caller: Caller) -> None:
        nonlocal most
        while True:
            await caller.request()
            most = max(most, driver.in_flight)
            await asyncio.sleep(0.05)
            await caller.say(ANSWER)

    async with serving(script) as server:
        driver = Driver(plan(server.port, rate=0.0, seconds=2.0, think_seconds=0.05), users=20)
        found = await ran(driver)
    assert most <= 20
    assert found[OK] == found[INTENDED]
    assert found[OK] == pytest.approx(20 * 2.0 / 0.1, rel=0.35)


async def test_closed_users_who_are_sent_away_finish_what_they_have_begun():
    async with serving(answering) as server:
        driver = Driver(plan(server.port, rate=0.0, seconds=30.0, think_seconds=0.02), users=10)
        running = asyncio.create_task(driver.run())
        await until(lambda: taken(driver, OK) > 0)
        driver.adjust(1.0, 0)
        await asyncio.sleep(1.0)
        taken(driver, INTENDED)
        await asyncio.sleep(0.3)
        after = taken(driver, INTENDED)
        driver.stop()
        await running
    assert after == driver.in_flight == 0


async def test_closed_users_outlive_a_server_that_refuses_them():
    async with serving(answering) as server:
        port = server.port
    found = await ran(Driver(plan(port, rate=0.0, seconds=0.5, think_seconds=0.0), users=5))
    assert found["failed.connect"] == found[INTENDED]
    assert 5 < found[INTENDED] < 500  # they come back by and by, and do not spin


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by itself, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=fake"
    name = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt")
    subprocess.run([*command.split(), *name], check=True, capture_output=True, timeout=30)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize(("trusted", "name"), [(True, OK), (False, "failed.connect")])
async def test_tls_is_spoken_with_servers_that_are_trusted_alone(certificate, trusted, name, monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(answering, tls) as server:
        found = await ran(Driver(msgspec.structs.replace(plan(server.port, rate=50.0), tls=True)))
    assert found[name] == found[INTENDED] == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("events", "name"),
    [
        (
            b'data: {"text":"a"}\n\ndata: {"text":"b"}\n\ndata: {"usage":{"completion_tokens":7}}\n\ndata: [DONE]\n\n',
            OK,
        ),
        (b'data: {"text":"a"}\n\n', "failed.cut"),
        (b'data: {"text":"a"}\n\ndata: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n', "failed.broken"),
    ],
)
async def test_a_stream_is_good_only_if_it_is_whole_and_without_error(events, name):
    async def script(caller: Caller) -> None:
        while True:
            await caller.request()
            await caller.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(events), events)

    kind = Kind("x", "generation", 0.5, 5.0, stream=True)
    async with serving(script) as server:
        found = await ran(Driver(plan(server.port, kinds=(kind,), rate=20.0)))
    assert found[name] == found[INTENDED] == pytest.approx(20, abs=1)
    assert found[TOKENS] == (7 * found[OK])


async def test_one_request_that_hangs_does_not_keep_the_many_after_it():
    first = True

    async def script(caller: Caller) -> None:
        nonlocal first
        if first:
            first = False
            await asyncio.sleep(SECONDS_MAX)
        await answering(caller)

    kind = Kind("x", "query", 0.5, SECONDS_MAX, stream=False)
    async with serving(script) as server:
        driver = Driver(plan(server.port, kinds=(kind,), rate=500.0, drain_seconds_max=0.1), calls_kept=50)
        running = asyncio.create_task(driver.run())
        await until(lambda: driver.elapsed_seconds > 0.9)
        assert driver.calls_listed < 150
        await running
    assert counts(driver)["failed.stopped"] == 1
