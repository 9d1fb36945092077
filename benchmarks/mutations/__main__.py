"""``python -m benchmarks.mutations [FAMILY...]``: exit 0 if promtool finds every mutant, 1 if some survive."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.mutations.checking import check_all, jobs, unchanged
from benchmarks.mutations.equivalent import reason
from ops.adapters.spec_file import load_spec
from ops.alerting.rules import families
from ops.verdict import EXIT_CODES, Outcome


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument("family", nargs="*", help="these families only")
    parser.add_argument("--rule", action="append", default=[], help="these rules only")
    parser.add_argument("--every", type=int, default=1, help="each n-th mutant only, for a quick look")
    given = parser.parse_args(arguments)
    spec = load_spec(Path("gratefulgpt.yaml"))
    made, chosen, started = families(spec), frozenset(given.family), time.monotonic()
    unchanged(made, spec, chosen)
    work = [job for job in jobs(made, chosen) if not given.rule or job.name in given.rule][:: given.every]
    counts: Counter[str] = Counter()
    for checked in check_all(work, spec):
        why = None if checked.found else reason(checked)
        outcome = "found" if checked.found else "equivalent" if why else "survives"
        counts[outcome] += 1
        if not checked.found:
            print(f"{outcome}: {checked.title}" + (f" ({why})" if why else ""), flush=True)
    seconds = time.monotonic() - started
    print(f"{len(work)} mutants in {seconds:.0f} s: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    if not work:
        return EXIT_CODES[Outcome.INVALID]
    return EXIT_CODES[Outcome.FAIL if counts["survives"] else Outcome.PASS]


if __name__ == "__main__":
    sys.exit(main())
