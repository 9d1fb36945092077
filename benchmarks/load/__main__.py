"""Whether the load generator can be believed, and what it costs: ``python -m benchmarks.load PART``.

Exit 0 if its targets are kept, 1 if not. ``--json`` writes everything that was measured to stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys

PARTS = ("truth", "cost", "alone", "tokens", "endurance", "scale")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--json", action="store_true", help="everything that was measured")
    given = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr if given.json else sys.stdout):
        result = importlib.import_module(f"benchmarks.load.{given.part}").run()
        print(result["outcome"])
    if given.json:
        print(json.dumps({"schema": f"gratefulgpt.benchmark.load.{given.part}/1", **result}, indent=2))
    return 0 if result["outcome"] == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
