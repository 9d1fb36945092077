"""Real runs, short and small: the driver's process against a fake service, into a ``Run`` as the suites leave it."""

import asyncio
import contextlib
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from ops.adapters.spec_file import load_spec
from ops.loadtest.arrivals import Process
from ops.loadtest.frames import Begin, Report, read, write
from ops.loadtest.plan import Kind, Phase, Plan, Rate
from ops.loadtest.recording import Measure
from ops.loadtest.run import Collecting, Run
from ops.loadtest.scraping import scraped
from ops.loadtest.server_side import server
from serving.contract import METRIC_INSTANCE, METRIC_LATENCY

SPEC = load_spec(Path(__file__).parents[2] / "gratefulgpt.yaml")
BOUNDS = {
    Measure.LATENCY: SPEC.measuring.latency_bounds_ms,
    Measure.FIRST_TOKEN: SPEC.measuring.first_token_bounds_ms,
    Measure.TIME_PER_TOKEN: SPEC.measuring.token_interval_bounds_ms,
}


@dataclass
class FakeService:
    """Answers ``POST``: by default at once. It counts as a gateway does, and may be told to lie."""

    delay: Callable[[int], float] = lambda number: 0.0
    """Seconds, by the number of the request."""
    status: Callable[[int], int] = lambda number: 200
    never: Callable[[int], bool] = lambda number: False
    """Whether it leaves the request without an answer."""
    tokens_told: int = 3
    """In a stream's usage; three are sent."""
    usage: bool = True
    counted: list[float] = field(default_factory=list)
    """Latencies of whole answers, by its own clock."""
    lie: float = 1.0
    """Its ``/metrics`` tells times so many times as long as they were."""
    instance: str = "one"
    numbers: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get"):
                    text = self.metrics().encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))
                    continue
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                await self._answer(writer, stream=b"/stream" in head.split(b"\r\n")[0])
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        self.numbers += 1
        number, began = self.numbers, time.perf_counter()
        await asyncio.sleep(self.delay(number))
        if self.never(number):
            return
        status = self.status(number)
        body = self._stream() if stream and status == 200 else b"{}"
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        if status == 200:
            self.counted.append(time.perf_counter() - began)

    def _stream(self) -> bytes:
        events = b"".join(b'data: {"choices":[{"delta":{"content":"x"},"token_ids":[7]}]}\n\n' for _ in range(3))
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%d}}\n\n' % self.tokens_told
        return events + (usage if self.usage else b"") + b"data: [DONE]\n\n"

    def metrics(self) -> str:
        """As a gateway worker's admin port has them."""
        lines = [f'{METRIC_INSTANCE}{{worker="w",instance="{self.instance}"}} 1', "process_resident_memory_bytes 1e8"]
        for bound in (*(one / 1000 for one in BOUNDS[Measure.LATENCY]), math.inf):
            within = sum(seconds * self.lie <= bound for seconds in self.counted)
            name = "+Inf" if bound == math.inf else repr(bound)
            lines.append(f'{METRIC_LATENCY}_bucket{{tier="t",arm="stable",task_class="query",le="{name}"}} {within}')
        return "\n".join([f"# TYPE {METRIC_LATENCY} histogram", *lines, ""])


@contextlib.contextmanager
def serving(service: FakeService) -> Iterator[FakeService]:
    loop = asyncio.new_event_loop()

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(service.serve, "127.0.0.1", 0)

    server = loop.run_until_complete(begin())
    service.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()


QUERY = Kind("history-query", "query", 0.5, 5.0, stream=False)
STREAMED = Kind("chat", "query", 0.5, 5.0, stream=True)


def plan(service: FakeService, rate: float, seconds: float, kind: Kind = QUERY, **changed: object) -> Plan:
    path = b"/stream" if kind.stream else b"/"
    request = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}" % path
    made = Plan(
        host="127.0.0.1",
        port=service.port,
        tls=False,
        kinds=(kind,),
        requests=((0, request),),
        phases=(Phase("steady", seconds),),
        rates=(Rate(seconds, rate, rate),),
        process=Process.CONSTANT,
        drain_seconds_max=2.0,
    )
    return msgspec.structs.replace(made, **changed)


def driven(plan: Plan, suite: str = "smoke", meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None) -> Run:
    """``meanwhile`` may do something to the driver's process after its first report."""
    collecting = Collecting(suite, plan, time.time())
    command = [sys.executable, "-m", "ops.loadtest.driver_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        write(process.stdin, Begin(plan, 1.0, 0))
        while (data := read(process.stdout)) is not None:
            collecting.take("local", msgspec.msgpack.decode(data, type=Report))
            if meanwhile is not None:
                meanwhile(process)
                meanwhile = None
    return collecting.run(time.time())


def loose(run: Run) -> Run:
    """Without what a busy machine does to the generator: for tests of something else."""
    phases = {number for number, phase in enumerate(run.plan.phases) if phase.measured}
    cells = {}
    for key, recorded in run.cells.items():
        kept = {name: value for name, value in recorded.histograms.items() if name is not Measure.SEND_LAG}
        cells[key] = msgspec.structs.replace(recorded, histograms=kept) if key[0] in phases else recorded
    return replace(run, cells=cells)


def scraped_run(service: FakeService, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> Run:
    """With what the service's ``/metrics`` said before and after."""
    address = f"http://127.0.0.1:{service.port}/metrics"
    before = scraped([address])
    run = driven(plan)
    meanwhile()
    return replace(loose(run), server=server([*before, *scraped([address])]))
