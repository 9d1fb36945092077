"""Restarts, leases in real time, several workers on one port, taken ports, draining."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from serving.contract import BadEvent, ForceStable, Renewal, WorkerState

pytestmark = pytest.mark.server


async def arms_of(gateway: Any, count: int = 12) -> set[str]:
    return {(await gateway.chat())[1]["x-arm"] for _ in range(count)}


async def test_when_nobody_renews_the_worker_returns_to_stable_and_says_so(
    launcher: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    gateway = await launcher.start()
    table = tools.table(engine.url, canary=second_engine.url, weight=10_000, epoch=3, lease_seconds=1.5)
    await gateway.push(table)
    assert (await gateway.chat())[1]["x-arm"] == "canary"
    status, ack = await gateway.admin("POST", "/admin/routes/production/renew", Renewal(3, 1.5))
    assert (status, ack["refusal"]) == (200, None)

    async def expired() -> bool:
        _, state = await gateway.admin("GET", "/admin/routes")
        return bool(state["tiers"]["production"]["state"] == "lease_expired")

    await tools.until(expired, "the lease has ended")
    assert (await gateway.chat())[1]["x-arm"] == "stable"
    for method, path, body in [
        ("POST", "/admin/routes/production/renew", Renewal(3, 1.5)),
        ("PUT", "/admin/routes/production", table),
    ]:
        status, ack = await gateway.admin(method, path, body)
        assert (status, ack["refusal"], ack["epoch"], ack["state"]) == (409, "lease_expired", 3, "lease_expired")
    _, text = await gateway.get("/api/v1/metrics")
    assert 'gateway_route_state{state="lease_expired",tier="production"} 1.0' in text
    assert 'gateway_route_weight_ratio{arm="stable",release="r1",tier="production"} 1.0' in text
    again = tools.table(engine.url, canary=second_engine.url, weight=10_000, epoch=4)
    assert (await gateway.push(again))[0] == 200
    assert (await gateway.chat())[1]["x-arm"] == "canary"


async def test_after_kill_minus_nine_only_stable_serves_and_the_fence_stands(
    launcher: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    gateway = await launcher.start()
    table = tools.table(engine.url, canary=second_engine.url, weight=10_000, epoch=5)
    await gateway.push(table)
    gateway.process.kill()
    gateway.process.wait()
    gateway = await launcher.start()
    assert await arms_of(gateway, 4) == {"stable"}
    status, ack = await gateway.push(tools.table(engine.url, epoch=4))
    assert (status, ack["refusal"], ack["epoch"]) == (409, "epoch_too_low", 5)
    status, ack = await gateway.admin("POST", "/admin/routes/production/renew", Renewal(5, 60.0))
    assert (status, ack["refusal"]) == (409, "epoch_unknown")
    assert (await gateway.push(table))[0] == 200
    assert await arms_of(gateway, 4) == {"canary"}


async def test_the_break_glass_holds_through_a_restart(
    launcher: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    gateway = await launcher.start()
    table = tools.table(engine.url, canary=second_engine.url, weight=10_000, epoch=5)
    await gateway.push(table)
    force = ForceStable("someone", "it burns")
    status, ack = await gateway.admin("POST", "/admin/routes/production/stable", force)
    assert (status, ack["state"], ack["refusal"]) == (200, "forced_stable", None)
    assert await arms_of(gateway, 4) == {"stable"}
    gateway.process.kill()
    gateway.process.wait()
    gateway = await launcher.start()
    _, raw = await gateway.admin("GET", "/admin/routes")
    assert raw["tiers"]["production"]["forced_by"] == {"actor": "someone", "reason": "it burns"}
    status, ack = await gateway.push(table)
    assert (status, ack["refusal"]) == (409, "forced_stable")
    assert await arms_of(gateway, 4) == {"stable"}


async def test_without_its_disk_a_worker_takes_no_table_but_the_glass_can_be_broken(
    launcher: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    gateway = await launcher.start()
    canary = {"canary": second_engine.url, "weight": 10_000}
    await gateway.push(tools.table(engine.url, epoch=5, **canary))
    shutil.rmtree(launcher.folder / "state")
    status, body = await gateway.push(tools.table(engine.url, epoch=6))
    assert (status, body["error"]["code"]) == (500, "state_not_saved")
    _, state = await gateway.admin("GET", "/admin/routes")
    assert state["tiers"]["production"]["table"]["epoch"] == 5
    assert await arms_of(gateway, 2) == {"canary"}
    status, ack = await gateway.admin("POST", "/admin/routes/production/stable", ForceStable("someone", "it burns"))
    assert (status, ack["state"]) == (200, "forced_stable")
    assert await arms_of(gateway, 2) == {"stable"}


async def test_a_torn_state_file_stops_the_start_with_a_mend(launcher: Any, engine: Any, tools: Any) -> None:
    gateway = await launcher.start()
    await gateway.push(tools.table(engine.url))
    gateway.process.kill()
    gateway.process.wait()
    (path,) = (launcher.folder / "state" / "gateway-0").glob("*.route.json")
    path.write_bytes(path.read_bytes()[:20])
    done = _run(launcher.command(tools.config(), "gateway-0", tools.free_port(), tools.free_port()))
    assert done.returncode == 2
    assert "delete it" in done.stderr


async def test_two_workers_share_one_port_and_sum_what_they_did(launcher: Any, engine: Any, tools: Any) -> None:
    port, *admin_ports = (tools.free_port() for _ in range(3))
    workers = []
    for i in (0, 1):
        peer = f"http://127.0.0.1:{admin_ports[1 - i]}"
        ports = {"port": port, "admin_port": admin_ports[i], "name": f"gateway-{i}"}
        workers.append(await launcher.start(tools.config(), "--peer", peer, **ports))
        await workers[i].push(tools.table(engine.url))
    url = workers[0].url

    async def ask_anew(method: str, path: str, **more: Any) -> Any:
        async with aiohttp.ClientSession() as fresh, fresh.request(method, url + path, **more) as answer:
            assert answer.status == 200
            return await answer.json()

    async def both_served() -> bool:
        await ask_anew("POST", "/v1/chat/completions", json=tools.chat_body())
        return all([sum(cell.assigned for cell in await worker.cells()) for worker in workers])

    await tools.until(both_served, "both workers have served")
    admin = {"authorization": f"Bearer {tools.admin_key}"}
    stats = await ask_anew("GET", "/api/admin/usage/stats", headers=admin)
    assert (stats["workers"], stats["workers_missing"]) == (["gateway-0", "gateway-1"], [])
    assert sum(row["requests"] for row in stats["usage"]) == len(engine.requests)
    assert sum(row["completion_tokens"] for row in stats["usage"]) == 5 * len(engine.requests)
    workers[0].process.terminate()
    await asyncio.to_thread(workers[0].process.wait, 30)
    await ask_anew("POST", "/v1/chat/completions", json=tools.chat_body())
    stats = await ask_anew("GET", "/api/admin/usage/stats", headers=admin)
    assert (stats["workers"], stats["workers_missing"]) == (["gateway-1"], [workers[0].admin_url])


async def test_a_taken_port_gets_one_clear_line_and_exit_2(launcher: Any, tools: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        for ports in ((taken, tools.free_port()), (tools.free_port(), taken)):
            done = _run(launcher.command(tools.config(), "gateway-0", *ports))
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert f"port {taken} on 127.0.0.1 cannot be used: Address already in use" in line


async def test_a_state_folder_in_use_gets_one_clear_line_and_exit_2(launcher: Any, tools: Any) -> None:
    await launcher.start()
    done = _run(launcher.command(tools.config(), "gateway-0", tools.free_port(), tools.free_port()))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "in use by another worker" in done.stderr


@pytest.mark.parametrize("what", ["config", "secrets"])
async def test_a_bad_file_gets_a_clear_line_and_exit_2(launcher: Any, tools: Any, what: str) -> None:
    command = launcher.command(tools.config(), "gateway-0", tools.free_port(), tools.free_port())
    done = _run_with(command, "--config" if what == "config" else "--secrets-file")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "short" not in done.stderr


async def test_sigterm_finishes_streams_refuses_new_work_and_exits_0(
    own_gateway: Any, engine: Any, tools: Any
) -> None:
    gateway = own_gateway
    engine.behaviour = "hang_in_stream"
    answer = await gateway.session.post(gateway.url + "/v1/chat/completions", json=tools.chat_body(stream=True))
    await answer.content.readuntil(b"Hello")
    gateway.process.send_signal(signal.SIGTERM)

    async def drains() -> bool:
        async with gateway.session.get(gateway.admin_url + "/healthz") as health:
            return bool(health.status == 503)

    await tools.until(drains, "it says that it drains")

    async def refuses() -> bool:
        try:
            async with aiohttp.ClientSession() as fresh:
                await fresh.get(gateway.url + "/api/v1/health")
        except aiohttp.ClientError:
            return True
        return False

    await tools.until(refuses, "no new connection is taken")
    engine.release.set()
    rest = await answer.content.read()
    assert rest.endswith(b"data: [DONE]\n\n")
    assert await asyncio.to_thread(gateway.process.wait, 30) == 0
    assert gateway.log_lines()[-1]["event"] == "stopped"


async def test_the_admin_port_wants_its_key_and_sound_tables(gateway: Any, engine: Any, tools: Any) -> None:
    for key in ("", "Bearer wrong", f"Bearer {tools.admin_key}x", "Bearer \xff"):
        async with gateway.session.get(gateway.admin_url + "/admin/routes", headers={"authorization": key}) as answer:
            assert answer.status == 401
    table = json.loads(json.dumps(_plain(tools.table(engine.url, epoch=gateway.epoch + 1))))
    cases = [
        ({**table, "tier": "edge"}, 400),
        ({**table, "surprise": 1}, 400),
        ({**table, "routes": []}, 400),
        ({**table, "routes": [{**table["routes"][0], "weight": 9_999}]}, 400),
        ({**table, "routes": [{**table["routes"][0], "template_version": "v99"}]}, 400),
        ({**table, "routes": [{**table["routes"][0], "release": "a\r\nb"}]}, 400),
        ({**table, "routes": [{**table["routes"][0], "endpoints": [{"replica": "a", "url": "ftp://x"}]}]}, 400),
    ]
    for body, expected in cases:
        status, answer_body = await gateway.admin("PUT", "/admin/routes/production", body)
        assert (status, "error" in answer_body) == (expected, True), body
    assert (await gateway.admin("PUT", "/admin/routes/moon", table))[0] == 404
    assert (await gateway.admin("POST", "/admin/routes/edge/stable", ForceStable("a", "b")))[0] == 503
    status, raw = await gateway.admin("GET", "/admin/routes")
    assert raw["tiers"]["production"]["table"]["epoch"] == gateway.epoch
    assert WorkerState.__struct_fields__ == tuple(raw)


async def test_sessions_stay_together_where_the_table_wants_it(
    gateway: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    sessions = {"affinity": "session", "salt": "rollout-1"}
    table = tools.table(
        engine.url, canary=second_engine.url, weight=5_000, epoch=gateway.epoch + 1, **sessions
    )
    await gateway.push(table)
    seen: dict[str, set[str]] = {}
    for i in range(30):
        name = f"session-{i % 10}"
        _, headers, _ = await gateway.post("/v1/chat/completions", tools.chat_body(), headers={"x-session": name})
        seen.setdefault(name, set()).add(headers["x-arm"])
    assert all(len(arms) == 1 for arms in seen.values())
    assert len(set.union(*seen.values())) == 2


async def test_a_session_is_scored_once_in_each_epoch_and_its_other_requests_are_only_counted(
    gateway: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    def ask(session: str | None = None, **more: str) -> Any:
        headers = {**({"x-session": session} if session else {}), **more}
        return gateway.post("/v1/chat/completions", tools.chat_body(), headers=headers)

    async def counted() -> dict[int, Counter[str]]:
        found: dict[int, Counter[str]] = {}
        for cell in (await gateway.counters()).cells:
            bad, levels = sum(cell.bad.values()), sum(map(sum, cell.levels.values()))
            counts = {"assigned": cell.assigned, "finished": cell.finished, "bad": bad, "levels": levels}
            found.setdefault(cell.epoch, Counter()).update(counts)
        return found

    before = (await counted()).get(0, Counter())
    levels = {"generation": {"p0o0": {BadEvent.SLOW: (0.5,)}}}
    first = gateway.epoch + 1
    for epoch in (first, first + 1):
        sessions = {"affinity": "session", "salt": "rollout-1", "epoch": epoch, "levels": levels}
        await gateway.push(tools.table(engine.url, canary=second_engine.url, weight=5_000, **sessions))
        await ask("session-0", **{"x-synthetic": tools.synthetic_token})  # counts nowhere, and takes no session's place
        for i in range(12):
            await ask(f"session-{i % 4}")
        await ask()
        await ask()  # of no session: each is scored
    engine.behaviour = second_engine.behaviour = "500"
    await ask("session-0")
    found = await counted()
    for epoch in (first, first + 1):
        assert found[epoch] == Counter(assigned=6, finished=6, levels=6)
    assert found[0] - before == Counter(assigned=17, finished=17, bad=1)


def _plain(table: Any) -> Any:
    return msgspec.to_builtins(table)


def _run_with(command: list[str], option: str) -> subprocess.CompletedProcess[str]:
    """Runs with a file of another kind behind the option."""
    Path(command[command.index(option) + 1]).write_text('{"admin_key": "short", "service": 3}')
    return _run(command)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
