"""The page: what happened, why, and the pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ops.judge.wording import number
from ops.report.charts import overview_chart, story_chart
from ops.report.rollout_story import RolloutStory


@dataclass(frozen=True)
class Chapter:
    """A rollout with what was expected of it."""

    title: str
    expected: str | None
    """The state in which it should end; None where nobody said."""
    story: RolloutStory

    @property
    def as_expected(self) -> bool:
        return self.expected in (None, self.story.rollout.state.value)


def rollout_page(title: str, summary: Sequence[tuple[str, str]], chapters: Sequence[Chapter]) -> str:
    """HTML without any outside reference. ``summary`` is a table of names and values. Several are shown side by side
    first."""
    environment = Environment(
        loader=PackageLoader("ops.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = lambda at: time.strftime("%H:%M:%S", time.gmtime(at))
    environment.filters["e_value"] = number
    environment.filters["day"] = lambda at: time.strftime("%Y-%m-%d", time.gmtime(at))
    return environment.get_template("rollout.html.j2").render(
        title=title,
        summary=summary,
        overview=Markup(_overview(chapters)),  # noqa: S704 - our own SVG
        chapters=[(chapter, Markup(story_chart(chapter.story))) for chapter in chapters],  # noqa: S704 - our own SVG
    )


def _overview(chapters: Sequence[Chapter]) -> str:
    return overview_chart([chapter.story for chapter in chapters]) if len(chapters) > 1 else ""
