"""Runs the incidents one after the other and prints what came of them."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import stamina.instrumentation

from benchmarks.runbooks.incidents import INCIDENTS
from benchmarks.runbooks.proving import Incident, Proof, prove
from benchmarks.runbooks.shortening import FACTOR
from benchmarks.runbooks.telling import judged, report, table
from benchmarks.runbooks.world import ROOT, WorldBroken, world
from ops.adapters.controller_client import ControllerError
from ops.demo.load import LoadError
from ops.stack.state import StackError
from ops.verdict import Evidence, Outcome, Verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runbooks", description=__doc__)
    names = [one.alert for one in INCIDENTS]
    parser.add_argument("--only", action="append", choices=names, help="only this alert; may be repeated (all)")
    parser.add_argument("--factor", type=int, default=FACTOR, help=f"by which alerting's times are divided ({FACTOR})")
    parser.add_argument("--output", type=Path, help="where the JSON goes besides stdout's table")
    chosen = parser.parse_args()
    if chosen.factor < 1:
        parser.error("a factor is at least 1")
    wanted = [one for one in INCIDENTS if not chosen.only or one.alert in chosen.only]
    stamina.instrumentation.set_on_retry_hooks([])  # retries of the controller's client are its own business
    print(f"all times of the spec's alerting are divided by {chosen.factor}", file=sys.stderr)
    try:
        proofs = asyncio.run(proven(wanted, chosen.factor))
    except (WorldBroken, StackError, ControllerError, LoadError) as e:
        return _nothing_shown(f"the stack broke: {e}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _nothing_shown("interrupted")
    verdict = judged(proofs)
    print(table(proofs, chosen.factor), *(item.text for item in verdict.evidence), verdict.outcome.value, sep="\n")
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(report(proofs, chosen.factor, verdict), indent=1) + "\n")
    return verdict.exit_code


def _nothing_shown(why: str) -> int:
    verdict = Verdict(Outcome.INVALID, (Evidence(f"{why}, so nothing has been shown"),))
    print(verdict.evidence[0].text, verdict.outcome.value, sep="\n")
    return verdict.exit_code


async def proven(incidents: Sequence[Incident], factor: int) -> list[Proof]:
    if task := asyncio.current_task():  # SIGTERM ends the stack and the load too, as Ctrl-C does
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="runbooks-") as folder:
        async with world(Path(folder), factor) as found:
            proofs = []
            for incident in incidents:
                print(f"{incident.alert}: {incident.fault}", file=sys.stderr, flush=True)
                proofs.append(await prove(found, incident, ROOT / "runbooks"))
                print(*(f"  {fault}" for fault in proofs[-1].faults), sep="\n", file=sys.stderr, flush=True)
            return proofs


if __name__ == "__main__":
    sys.exit(main())
