"""Starts and watches a real vLLM server, on a GPU where the installed build is for one, on the CPU otherwise.

Owns the wiring alone: ``vllm_command`` says what to start, ``vllm_watch`` watches it, ``vllm_bootstrap`` runs under
vLLM's Python. Nothing here imports vLLM.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.engine.vllm_command import PROJECT, VllmMissing, command, environment, find_python, probe
from serving.engine.vllm_watch import watch

EXIT_CONFIGURATION = 2


def run(model: str, model_name: str, host: str, port: int, arguments: Sequence[str] = ()) -> int:
    """Serves ``model`` (a folder or a URI that vLLM reads) as ``model_name`` until told to stop; blocks.

    ``arguments`` are appended to vLLM's command line and take the place of the defaults. Returns the server's exit
    code (128 + n if it died of signal n), 2 if there is no vLLM to run, 75 if it was killed for not answering.
    """
    try:
        build = probe(find_python(os.environ, (PROJECT, Path.cwd())))
    except VllmMissing as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    line = command(build, model, model_name, host, port, arguments)
    variables = environment(build, os.environ, arguments, os.cpu_count() or 1, os.getpid())
    reachable = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return asyncio.run(watch(line, variables, f"http://{reachable}:{port}/health"))
