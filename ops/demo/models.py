"""The three releases of the story: what is stable, a good one and a bad one."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ops.rollout.operating import ReleaseRequest

BAD_SLOWDOWN = 1.5
"""Half as slow again."""
TINY_MODELS = Path("build/models")


class ModelsMissing(Exception):
    """The models must be built first; the message says how."""


@dataclass(frozen=True)
class Cast:
    stable: ReleaseRequest
    good: ReleaseRequest
    bad: ReleaseRequest
    bad_because: str


def simulated_cast(folder: Path, tier: str) -> Cast:
    """Writes the profiles of three simulated releases below ``folder``. The good one differs in its seed alone."""
    profiles: dict[str, dict[str, object]] = {
        "story-1": {"seed": 1},
        "story-2": {"seed": 2},
        "story-3-slow": {"seed": 3, "slowdown": BAD_SLOWDOWN},
    }
    for name, profile in profiles.items():
        home = folder / name
        home.mkdir(parents=True, exist_ok=True)
        (home / "simulated.json").write_text(json.dumps(profile) + "\n")
    stable, good, bad = (ReleaseRequest(name, tier, "simulated", str((folder / name).resolve())) for name in profiles)
    return Cast(stable, good, bad, bad_because=f"every step of its engine takes {BAD_SLOWDOWN:g} times as long")


def vllm_cast(tier: str) -> Cast:
    """The tiny models. Raises ModelsMissing."""
    folders = [TINY_MODELS / name for name in ("tiny-a", "tiny-b", "tiny-damaged")]
    missing = [str(folder) for folder in folders if not (folder / "config.json").is_file()]
    if missing:
        raise ModelsMissing(f"{', '.join(missing)} not there: build them with 'make tiny-model'")
    stable, good, bad = (ReleaseRequest(folder.name, tier, "vllm", str(folder.resolve())) for folder in folders)
    return Cast(stable, good, bad, bad_because="its weights are damaged: it answers with nothing")


def vllm_spec(spec: Path, folder: Path) -> Path:
    """A copy of the spec in ``folder``, beside it texts that the tiny models can read: they know no concerts, only the
    manual that they were trained on, and held-out texts of another domain would say nothing of them."""
    copy = folder / "spec.yaml"
    shutil.copyfile(spec, copy)
    wanted = re.search(r"^    texts: *([a-z0-9_-]+)", spec.read_text("utf-8"), re.MULTILINE)
    home = folder / "quality"
    home.mkdir(exist_ok=True)
    texts = (files("ops.quality") / "texts" / "manual.json").read_text("utf-8")
    (home / f"{wanted[1] if wanted else 'concerts'}.json").write_text(texts, "utf-8")
    return copy
