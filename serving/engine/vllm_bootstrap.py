"""Runs under vLLM's own Python: starts its API server so that no process of it outlives the one that started it.

Python's ``spawn`` runs the main script again in every child (as ``__mp_main__``), and that is how the engine core
and the workers get the same rule: the kernel kills each one the moment its parent dies, whatever the parent died of.
Imports nothing but the standard library until the server starts. Linux only, as vLLM is.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal

PARENT_VARIABLE = "GRATEFULGPT_PARENT_PID"
SERVER_MODULE = "vllm.entrypoints.openai.api_server"
PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h
EXIT_ORPHANED = 75


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that started it ends.

    The variable names the pid that the parent must have; another means that it died before the kernel was asked.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is not None and os.getppid() != int(parent):
        os._exit(EXIT_ORPHANED)
    if os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") == "forkserver":
        os.environ.pop(PARENT_VARIABLE, None)  # there a server in between is the parent, whose pid we cannot know
    else:
        os.environ[PARENT_VARIABLE] = str(os.getpid())


if __name__ in ("__main__", "__mp_main__"):
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)
if __name__ == "__main__":
    # sys.modules keeps this script as __main__, so that children run it and not vLLM's module.
    runpy.run_module(SERVER_MODULE, run_name="__main__", alter_sys=False)
