"""Every event as a real engine's fault makes it: what is counted, on which level, and that all sources say the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import contract
from serving.contract import BadEvent, ClassConfig, CounterCell, Levels

pytestmark = pytest.mark.server

SLOW, FIRST, TOKENS, LENGTH = BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH
FAR: Levels = {SLOW: (20.0,), FIRST: (20.0,), TOKENS: (20.0,), LENGTH: (8.0, 40.0)}
"""Times that no answer here takes, however busy the machine."""
NEAR: Levels = {SLOW: (0.001, 0.1), FIRST: (0.001, 0.1), TOKENS: (0.000001, 0.01)}
STRATA = [f"p{i}o{j}" for i in range(3) for j in range(3)]


def levels(cuts: Levels) -> dict[str, dict[str, Levels]]:
    return dict.fromkeys(("generation", "completion", "query"), dict.fromkeys(STRATA, cuts))


@pytest.fixture(scope="module")
def hasty(tools: Any) -> Any:
    """Gives up after 1.5 s."""
    classes = dict.fromkeys(("generation", "completion", "query"), ClassConfig(1.0, 1.5, 0.5, 0.1))
    return msgspec.structs.replace(tools.config(), classes=classes)


async def over(gateway: Any) -> CounterCell:
    """The one cell, once its requests are over."""

    async def found() -> list[CounterCell]:
        cells = await gateway.cells()
        return cells if cells and all(cell.assigned == cell.finished for cell in cells) else []

    (cell,) = await gateway.tools.until(found, "all requests are over")
    assert isinstance(cell, CounterCell)
    return cell


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("faults", "event", "slow", "first", "length"),
    [
        ({}, None, (1, 0), (1, 0), (0, 1, 0)),
        ({"error_rate": 1.0}, "failed", (0, 1), (0, 1), (0, 0, 0)),
        ({"refuse_rate": 1.0}, "failed", (0, 1), (0, 1), (0, 0, 0)),
        ({"cut_rate": 1.0}, "cut", (0, 1), (1, 0), (0, 0, 0)),
        ({"empty_rate": 1.0}, "empty", (1, 0), (0, 0), (1, 0, 0)),
        ({"repeat_rate": 1.0}, "repeated", (1, 0), (1, 0), (0, 1, 0)),
        ({"decline_rate": 1.0}, "refused", (1, 0), (0, 0), (1, 0, 0)),
        ({"reject_rate": 1.0}, "refused", (0, 0), (0, 0), (0, 0, 0)),
    ],
)
async def test_a_fault_of_the_engine_is_its_event_and_lies_on_its_levels(
    gateway: Any, simulated: Any, tools: Any, faults: Any, event: Any, slow: Any, first: Any, length: Any, stream: bool
) -> None:
    await gateway.push(tools.table(simulated.url, epoch=gateway.epoch + 1, levels=levels(FAR)))
    simulated.set_faults(**faults)
    await gateway.chat(max_tokens=32, ignore_eos=True, stream=stream)
    cell = await over(gateway)
    if event == "cut" and not stream:
        event = "failed"  # an answer that is no stream has no end mark
    cell_bad = {bad: count for bad, count in cell.bad.items() if bad is not BadEvent.OVER_TARGET}
    assert cell_bad == ({} if event is None else {event: 1})
    whole_stream = stream and sum(length) and sum(first)
    assert cell.levels == {
        SLOW: slow,
        FIRST: first if stream else (0, 0),
        TOKENS: (1, 0) if whole_stream else (0, 0),
        LENGTH: length,
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_hangs_is_on_the_last_levels_before_it_is_given_up(
    launcher: Any, simulated: Any, tools: Any, hasty: Any, stream: bool
) -> None:
    gateway = await launcher.start(hasty)
    await gateway.push(tools.table(simulated.url, levels=levels(NEAR)))
    simulated.set_faults(hang_rate=1.0)
    running = asyncio.create_task(gateway.chat(stream=stream))

    async def certain() -> list[CounterCell]:
        cells: list[CounterCell] = await gateway.cells()
        return [cell for cell in cells if cell.levels[SLOW][-1] and not cell.finished]

    (cell,) = await tools.until(certain, "it is on the last level while it hangs")
    expected = {SLOW: (0, 0, 1), FIRST: (0, 0, int(stream)), TOKENS: (0, 0, 0)}
    assert cell.levels == expected
    assert (await running)[0] == 504
    cell = await over(gateway)
    assert cell.levels == expected
    assert cell.bad == {BadEvent.OVER_TARGET: 1, BadEvent.UNANSWERED: 1}


async def test_a_slow_engine_is_slow_in_every_way_and_nothing_else(gateway: Any, simulated: Any, tools: Any) -> None:
    await gateway.push(tools.table(simulated.url, epoch=gateway.epoch + 1, levels=levels(NEAR)))
    simulated.set_faults(slowdown=60.0)
    status, _, _ = await gateway.chat(max_tokens=4, ignore_eos=True, stream=True)
    cell = await over(gateway)
    assert status == 200
    assert cell.levels == {SLOW: (0, 0, 1), FIRST: (0, 0, 1), TOKENS: (0, 0, 1)}
    assert set(cell.bad) <= {BadEvent.OVER_TARGET}


async def test_structured_answers_that_loop_are_repeated_and_truncated(
    gateway: Any, simulated: Any, tools: Any
) -> None:
    await gateway.push(tools.table(simulated.url, epoch=gateway.epoch + 1, levels=levels(FAR)))
    simulated.set_faults(repeat_rate=1.0)
    status, _, body = await gateway.post("/api/v1/history/query", {"question": "When?"})
    assert (status, body["error"]["code"]) == (502, "answer_truncated")
    cell = await over(gateway)
    assert {bad for bad in cell.bad if bad is not BadEvent.OVER_TARGET} == {BadEvent.REPEATED, BadEvent.TRUNCATED}
    assert (cell.levels[SLOW], cell.levels[LENGTH]) == ((1, 0), (0, 0, 1))  # it came, and says what it says


@pytest.mark.parametrize("stream", [False, True])
async def test_text_answers_that_loop_are_repeated_and_given(
    gateway: Any, simulated: Any, tools: Any, stream: bool
) -> None:
    await gateway.push(tools.table(simulated.url, epoch=gateway.epoch + 1))
    simulated.set_faults(repeat_rate=1.0)
    status, _, _ = await gateway.post("/api/v1/generate", {"prompt": "Rain", "stream": stream})
    assert status == 200
    assert BadEvent.REPEATED in (await over(gateway)).bad


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("refusal", "finish_reason"), [("I cannot.", "stop"), (None, "content_filter")])
async def test_a_model_that_declines_is_refused_and_its_words_pass(
    gateway: Any, engine: Any, refusal: str | None, finish_reason: str, stream: bool
) -> None:
    engine.behaviour, engine.refusal, engine.finish_reason = "empty", refusal, finish_reason
    status, _, body = await gateway.chat(stream=stream)
    text = body.decode() if stream else json.dumps(body)
    assert (status, (refusal or "content_filter") in text) == (200, True)
    assert await gateway.bad() == {"refused": 1}


@pytest.mark.parametrize(("refusal", "finish_reason"), [("I cannot.", "stop"), (None, "content_filter")])
async def test_a_model_that_declines_one_of_our_own_tasks_gave_no_answer(
    gateway: Any, engine: Any, refusal: str | None, finish_reason: str
) -> None:
    engine.refusal, engine.finish_reason = refusal, finish_reason
    status, _, body = await gateway.post("/api/v1/generate", {"prompt": "Rain"})
    assert (status, body["error"]["code"]) == (502, "answer_refused")
    assert "cannot" not in json.dumps(body)
    assert await gateway.bad() == {"refused": 1}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_has_no_length_and_no_intervals(
    gateway: Any, engine: Any, tools: Any, stream: bool
) -> None:
    await gateway.push(tools.table(engine.url, epoch=gateway.epoch + 1, levels=levels(FAR)))
    engine.tells_usage = False
    assert (await gateway.chat(stream=stream))[0] == 200
    cell = await over(gateway)
    assert cell.levels == {SLOW: (1, 0), FIRST: (int(stream), 0), TOKENS: (0, 0), LENGTH: (0, 0, 0)}


@pytest.mark.parametrize(("cuts", "counts"), [(FAR, (0, 0)), (NEAR, (0, 0, 1))])
async def test_a_client_that_leaves_is_on_a_level_only_if_it_was_certain(
    gateway: Any, engine: Any, tools: Any, cuts: Levels, counts: tuple[int, ...]
) -> None:
    await gateway.push(tools.table(engine.url, epoch=gateway.epoch + 1, levels=levels(cuts)))
    engine.behaviour = "hang"
    running = asyncio.create_task(gateway.chat(stream=True))

    async def waited() -> bool:
        cells = await gateway.cells()
        return bool(cells and (cuts is FAR or cells[0].levels[SLOW][-1]) and engine.requests)

    await tools.until(waited, "the request is where it should be")
    running.cancel()
    cell = await over(gateway)
    assert (cell.bad, cell.levels[SLOW], cell.levels[FIRST]) == ({BadEvent.ABANDONED: 1}, counts, counts)


async def test_a_request_keeps_the_cuts_of_its_epoch_when_the_table_changes(
    gateway: Any, engine: Any, tools: Any
) -> None:
    old, new = gateway.epoch + 1, gateway.epoch + 2
    await gateway.push(tools.table(engine.url, epoch=old, levels=levels(FAR)))
    engine.behaviour = "hang"
    running = asyncio.create_task(gateway.chat())
    await tools.until(lambda: engine.requests, "the engine has it")
    await gateway.push(tools.table(engine.url, epoch=new, levels=levels({SLOW: (0.000001, 0.000002)})))
    engine.release.set()
    await running
    engine.behaviour = "good"
    await gateway.chat()

    async def both() -> Any:
        cells = {cell.epoch: cell for cell in await gateway.cells()}
        return cells if set(cells) == {old, new} and all(cell.finished for cell in cells.values()) else None

    cells = await tools.until(both, "both are over")
    assert cells[old].levels[SLOW] == (1, 0)
    assert cells[new].levels == {SLOW: (0, 0, 1)}


async def test_the_metrics_and_the_snapshot_tell_the_same(own_gateway: Any, engine: Any, tools: Any) -> None:
    gateway = own_gateway
    await gateway.push(tools.table(engine.url, epoch=2, levels=levels({**NEAR, LENGTH: (3.0, 5.0)})))
    for behaviour in ("good", "500", "empty", "cut", "400", "error_in_stream"):
        engine.behaviour = behaviour
        for stream in (False, True):
            await gateway.chat(stream=stream)
            await gateway.post("/v1/completions", {"prompt": "Once", "max_tokens": 8, "stream": stream})
    engine.behaviour = "good"
    await gateway.post("/api/v1/generate", {"prompt": "Rain"})
    async with gateway.session.get(gateway.admin_url + contract.METRICS_PATH) as answer:
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    snapshot = await gateway.counters()

    def told(name: str) -> dict[tuple[str, ...], int]:
        order = ("tier", "arm", "epoch", "task_class", "stratum", "event", "level")
        samples = [sample for sample in families[name].samples if sample.name.endswith("_total")]
        return {tuple(s.labels[label] for label in order if label in s.labels): int(s.value) for s in samples}

    keys = [(c, (c.tier, c.arm.value, str(c.epoch), c.task_class, c.stratum)) for c in snapshot.cells]
    assert len(keys) > 1
    assert told(contract.METRIC_ASSIGNED) == {key: cell.assigned for cell, key in keys}
    assert told(contract.METRIC_FINISHED) == {key: cell.finished for cell, key in keys}
    assert told(contract.METRIC_STREAMED) == {key: cell.streamed for cell, key in keys}
    assert told(contract.METRIC_BAD) == {(*key, e.value): n for cell, key in keys for e, n in cell.bad.items()}
    assert told(contract.METRIC_LEVEL) == {
        (*key, event.value, str(level)): count
        for cell, key in keys
        for event, counts in cell.levels.items()
        for level, count in enumerate(counts)
    }
    # One answer of 400 in four is no level's; the others are on exactly one.
    assert sum(sum(cell.levels[SLOW]) for cell, _ in keys) == sum(cell.assigned for cell, _ in keys) - 4
    histograms = {
        SLOW: contract.METRIC_LATENCY,
        FIRST: contract.METRIC_FIRST_TOKEN,
        TOKENS: contract.METRIC_TOKEN_INTERVAL,
        LENGTH: contract.METRIC_OUTPUT_TOKENS,
    }
    for event, name in histograms.items():
        counted = sum(s.value for s in families[name].samples if s.name.endswith("_count"))
        assert counted == sum(sum(cell.counts.get(event, ())) for cell in snapshot.measured) > 0
