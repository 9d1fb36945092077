"""Alerts on what the model says: empty, repeated, invalid and declined answers, and answers of another length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.alerting.cases import Rates, Share, Timing, beyond, case, counter, exact, over, share_cases
from ops.alerting.families.common import ANSWERED, QUALITY, ROLLOUTS, alert, ask, increase, of_days, share, timing
from ops.alerting.model import Alert, Case, Group, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec
from serving.contract import BadEvent

BY = "tier, task_class"
LABELS = {"tier": "production", "task_class": "query"}
OWN = 'job="gateway",instance="10.0.0.2:9001",tier="production",task_class="query"'
ASKED = 'gateway_objective_requests_total{objective="availability"}'
STORY = Step("When did it begin? Compare with the rollouts.", ("ops canary history --tier $TIER --run-dir $RUN_DIR",))
BACK = Step(
    "It began with a release: take that back. The way back is to let it go out again.",
    ('ops canary rollback --tier $TIER --reason "model quality" --yes --run-dir $RUN_DIR',),
    undo=("ops canary history --tier $TIER --run-dir $RUN_DIR",),
)
TRAFFIC = Step(
    "It began with other questions (one customer's, say): nothing is to be taken back. Tell whoever owns the task's "
    "prompt template."
)
MEANINGS = {
    BadEvent.EMPTY: ("AnswersEmpty", "have no content", "A wrong template or stop word, most often."),
    BadEvent.REPEATED: ("AnswersRepeat", "say the same over and over", "The model does not leave a loop."),
    BadEvent.INVALID: ("AnswersInvalid", "are not JSON of their schema", "The engine no longer keeps to the schema."),
    BadEvent.REFUSED: ("AnswersDeclined", "decline the task", "Or the engine takes requests for faulty."),
}
"""By event: the alert's name, what such answers do, and what is behind it."""


def groups(spec: Spec) -> tuple[Group, ...]:
    return (Group("quality", spec.alerting.evaluation_seconds, alerts=(*_events(spec), *_lengths(spec))),)


def _events(spec: Spec) -> Iterator[Alert]:
    """Bounds are those at which a canary is rolled back: ``budget_rate`` of the event."""
    window, floor, at_once = spec.alerting.timing.window_seconds, spec.alerting.floors.events, timing(spec)
    for event, rule in spec.rollout.analysis.events.items():
        if event not in MEANINGS or rule.budget_rate is None:
            continue
        name, what, behind = MEANINGS[event]
        percent = 100 * rule.budget_rate
        bad = f'gateway_events_total{{event="{event.value}"}}'
        yield alert(
            name, QUALITY, share(bad, ASKED, BY, percent, window, floor), at_once, ("business", "quality_events"),
            (f"{{{{ $labels.tier }}}}, {{{{ $labels.task_class }}}}: many answers {what}",
             f"More than {percent:g} % of them."),
            Runbook(
                meaning=f"More than {percent:g} % of a class's answers {what}. {behind}",
                impact="Users get an answer that is of no use to them, and no error.",
                diagnosis=(STORY, ask("Which classes?", increase(bad, window, BY))),
                mitigation=(BACK, TRAFFIC),
                verification=(ask("Hardly any more come.", increase(bad, window, BY)), ANSWERED),
            ),
            share_cases(_eventful(event.value), Share(percent, window, floor), at_once, (LABELS,)),
        )  # fmt: skip


def _lengths(spec: Spec) -> Iterator[Alert]:
    """The bound is what would harm a canary: so many times as long."""
    rules, rule = spec.alerting, spec.rollout.analysis.events.get(BadEvent.OUTPUT_LENGTH)
    if rule is None or rule.harm is None:
        return
    window, offset, floor = rules.timing.compare_seconds, rules.timing.compare_offset_seconds, rules.floors
    pace, times, least = of_days(spec), rule.harm, floor.requests_compared
    now, before = (_mean(window, shift) for shift in (0, offset))
    counts = [_increase("count", window, shift) for shift in (0, offset)]
    enough = " and ".join(f"{count} >= {least}" for count in counts)
    for name, condition, longer in (
        ("AnswersLonger", f"{now} / ({before}) > {times:.10g}", True),
        ("AnswersShorter", f"{before} / ({now}) > {times:.10g}", False),
    ):
        word = "long" if longer else "short"
        yield alert(
            name, QUALITY, f"{condition} and {enough}", pace, ("gateway", "output_tokens_mean"),
            (f"{{{{ $labels.tier }}}}, {{{{ $labels.task_class }}}}: answers are far {word}er than a day before",
             f"Their mean length is more than {times:g} times as {word} as {duration(offset)} earlier."),
            Runbook(
                meaning="The mean length of whole answers is far from what it was at the same time a day before.",
                impact="Longer answers take longer and cost more; shorter ones may say less than was asked.",
                diagnosis=(STORY, ask("Which classes?", f"{now} / ({before})"), ROLLOUTS),
                mitigation=(BACK, TRAFFIC),
                verification=(ask("The lengths agree.", f"{now} / ({before})"), ANSWERED),
            ),
            _length_cases(times, least, window, offset, pace, longer),
        )  # fmt: skip


def _increase(part: str, window: float, offset: float) -> str:
    shift = f" offset {duration(offset)}" if offset else ""
    return f"sum by ({BY}) (increase(gateway_output_tokens_{part}[{duration(window)}]{shift}))"


def _mean(window: float, offset: float) -> str:
    return f"{_increase('sum', window, offset)} / {_increase('count', window, offset)}"


def _eventful(event: str) -> Rates:
    """Events among requests, beside others of another kind, and objectives that count otherwise."""

    def inputs(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
        requests = (("availability", every), ("first_token", [one / 8 for one in every]))
        return (
            counter(f'gateway_events_total{{{OWN},event="{event}"}}', bad),
            counter(f'gateway_events_total{{{OWN},event="abandoned"}}', every),
            *(counter(f'gateway_objective_requests_total{{{OWN},objective="{of}"}}', n) for of, n in requests),
        )

    return inputs


def _length_cases(
    times: float, least: float, window: float, offset: float, pace: Timing, longer: bool
) -> tuple[Case, ...]:
    """An hour of answers of one length, and the same hour a day later of another one."""
    width, shift, tokens = pace.steps(window), pace.steps(offset), 64.0
    many = exact(4 * least / width)

    def made(name: str, ratio: float, day_before: float, day_after: float) -> Case:
        former, latter = (tokens, exact(tokens * ratio)) if longer else (exact(tokens * ratio), tokens)
        quiet, hours = [0.0] * (shift - 2 * width), 2 * width
        counts = [0.0, *[exact(day_before)] * hours, *quiet, *[exact(day_after)] * hours, *[0.0] * (2 * width)]
        lengths = [0.0, *[former] * hours, *quiet, *[latter] * hours, *[0.0] * (2 * width)]
        sums = [count * length for count, length in zip(counts, lengths, strict=True)]
        truth = _drifted(counts, sums)
        series = (f"gateway_output_tokens_{part}{{{OWN},arm=\"stable\"}}" for part in ("sum", "count"))
        inputs = tuple(counter(one, values) for one, values in zip(series, (sums, counts), strict=True))
        looks = range(shift + width // 2, shift + 3 * width, max(1, width // 2))
        return case(name, inputs, truth, pace, (LABELS,), looks)

    def _drifted(counts: Sequence[float], sums: Sequence[float]) -> list[bool]:
        n, total = over(window, counts, pace), over(window, sums, pace)
        found = []
        for k in range(len(n)):
            enough = k >= shift and min(n[k], n[k - shift]) >= least * (1 - 1e-9)
            now, before = (total[k] / n[k], total[k - shift] / n[k - shift]) if enough else (1.0, 1.0)
            found.append(enough and beyond(now / before if longer else before / now, times))
        return found

    few = least / width
    return (
        made("just beyond the bound", times * 1.05, many, many),
        made("just within the bound", times * 0.95, many, many),
        made("just enough of the day before", times * 1.05, few * 1.05, many),
        made("too few of the day before", times * 1.05, few * 0.95, many),
        made("just enough of today", times * 1.05, many, few * 1.05),
        made("too few of today", times * 1.05, many, few * 0.95),
    )
