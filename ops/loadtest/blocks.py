"""How much more a share varies than that of independent requests, by how it varies between blocks of time. Pure.

The variance of a share of clusters (Cochran 1977, ratio estimator) over that of a simple random sample: the design
effect. Requests that queue behind each other are late together, and a run of 1,000 of them may know as little as 50.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ops.loadtest.recording import Histogram
from ops.loadtest.reporting_document import Document

BLOCKS = 20
"""Of a run: as many degrees of freedom, less one."""


@dataclass(frozen=True)
class _Block:
    answers: Histogram
    failed: int


@dataclass(frozen=True)
class Blocks:
    """Of one class, or all of them, in the phases that the verdict depends on."""

    blocks: tuple[_Block, ...]

    @classmethod
    def of(cls, document: Document, task_class: str | None) -> Blocks:
        spans, begin = [], 0.0
        counting = {phase.number for phase in document.judged if phase.counts}
        for number, phase in enumerate(document.phases):
            if number in counting:
                spans.append((begin, begin + phase.seconds))
            begin += phase.seconds
        width = sum(end - start for start, end in spans) / BLOCKS
        found: dict[tuple[float, int], _Block] = {}
        for moment in document.moments:
            span = next((span for span in spans if span[0] <= moment.at < span[1]), None)
            if span is None or task_class not in (None, moment.task_class):
                continue
            key = span[0], int((moment.at - span[0]) / width)
            block = found.get(key) or _Block(Histogram(), 0)
            if moment.latencies:
                block.answers.merge(moment.latencies.encode())
            found[key] = _Block(block.answers, block.failed + moment.failed)
        return cls(tuple(found.values()))

    def effect(self, seconds: float) -> float:
        """Of the share of requests that took longer or failed."""
        return self._effect(lambda block: block.answers.over(seconds) + block.failed)

    def effect_of_failures(self) -> float:
        return self._effect(lambda block: block.failed)

    def _effect(self, count: Callable[[_Block], int]) -> float:
        pairs = [(count(block), block.answers.count + block.failed) for block in self.blocks]
        requests, blocks = sum(size for _, size in pairs), len(pairs)
        share = sum(late for late, _ in pairs) / requests if requests else 0.0
        if blocks < 2 or share in (0.0, 1.0):
            return 1.0
        clustered = blocks / (blocks - 1) * sum((late - share * size) ** 2 for late, size in pairs)
        return max(1.0, clustered / (share * (1 - share) * requests))
