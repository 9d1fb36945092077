"""Starts one engine: ``python -m serving.engine --engine simulated|vllm --model DIR --model-name NAME --port N``.

Whatever this command line does not know is the engine's own and is handed over unread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the engine until it ends; returns its exit code (2: wrong usage or configuration)."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.engine",
        description="Start one engine with an OpenAI-compatible API. Further arguments go to the engine.",
        allow_abbrev=False,
    )
    parser.add_argument("--engine", choices=("simulated", "vllm"), required=True, help="which engine to start")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of the model (simulated: its profile)")
    parser.add_argument("--model-name", required=True, metavar="NAME", help="the name under which it serves")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    known, rest = parser.parse_known_args(argv)
    # Each engine brings dependencies of its own, so only the chosen one is imported.
    if known.engine == "simulated":
        from serving.engine.simulated.server import run  # noqa: PLC0415
    else:
        from serving.engine.vllm import run  # noqa: PLC0415
    return run(known.model, known.model_name, known.host, known.port, rest)


if __name__ == "__main__":
    sys.exit(main())
