"""What others may rely on: the gateway's configuration, the routing table, counters, names and admin paths.

This module owns the words that cross a process boundary between the data plane and everybody else. It holds
types and names only: no I/O, no clock, no behaviour beyond the checks a type makes of itself.

Times are seconds, sizes are bytes, weights are basis points (1/10000) unless a name says otherwise.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise

import msgspec

# --- HTTP names -------------------------------------------------------------------------------------------------

REQUEST_ID_HEADER = "x-request-id"
"""Correlation id: taken from the caller when it is a plain token, made otherwise; returned and sent upstream."""
RELEASE_HEADER = "x-release"
ARM_HEADER = "x-arm"
SESSION_HEADER = "x-session"
"""Names a session; used for assignment only where the routing table's affinity is ``session``."""
SYNTHETIC_HEADER = "x-synthetic"
"""Marks probes and warm-up. Honoured only if its value is the synthetic token, so that no client can opt out of
the targets. Synthetic traffic is counted apart and enters no target and no verdict."""
IDEMPOTENCY_HEADER = "idempotency-key"
ACTOR_HEADER = "x-actor"

ADMIN_ROUTES_PATH = "/admin/routes"
"""On a worker's admin port (bearer admin key):

- ``GET  /admin/routes``               -> JSON ``WorkerState``
- ``PUT  /admin/routes/{tier}``        body ``RoutingTable``; 200 ``Ack`` (accepted), 409 ``Ack`` (refused, with reason)
- ``POST /admin/routes/{tier}/renew``  body ``Renewal``; 200 ``Ack``, or 409 ``Ack`` with the reason
- ``POST /admin/routes/{tier}/stable`` body ``ForceStable``; 200 ``Ack``: all new requests go to stable at once
"""
ADMIN_COUNTERS_PATH = "/admin/counters"
"""``GET`` -> JSON ``CounterSnapshot`` of this worker."""
ADMIN_HEALTH_PATH = "/healthz"
"""``GET`` on the admin port, no key: 200 once the worker listens, 503 while it drains."""
METRICS_PATH = "/metrics"
"""``GET`` on the admin port, no key: the Prometheus text format."""


class Arm(StrEnum):
    STABLE = "stable"
    BASELINE = "baseline"
    CANARY = "canary"


class TaskKind(StrEnum):
    """How a task's request and answer look."""

    OPENAI_CHAT = "openai_chat"
    """``/v1/chat/completions``, bytes forwarded as they come."""
    OPENAI_COMPLETION = "openai_completion"
    """``/v1/completions``, bytes forwarded as they come."""
    TEXT = "text"
    """The service's own API; the answer is free text."""
    STRUCTURED = "structured"
    """The service's own API; the answer is JSON of the task's schema: the engine enforces it, the gateway checks."""


class BadEvent(StrEnum):
    """Ways in which a request goes wrong; each is counted as soon as it is certain, at most once per request.

    Those of ``GRADED`` are not yes or no: the request falls on one of several levels, cut at ``RoutingTable.levels``,
    and the arms are compared by how their requests spread over them.
    """

    SLOW = "slow"
    """Graded: seconds until the last byte. A request that failed or was cut never came: it is on the last level."""
    SLOW_FIRST_TOKEN = "slow_first_token"
    """Graded: seconds until a stream's first content; on the last level if it failed before that."""
    SLOW_TOKENS = "slow_tokens"
    """Graded: mean seconds between a whole stream's tokens after the first, from the usage that the engine tells."""
    OUTPUT_LENGTH = "output_length"
    """Graded, and worth a look in both directions: tokens of a whole answer, from the usage that the engine tells."""
    OVER_TARGET = "over_target"
    """Past the spec's p95 target of its class: what users were promised."""
    FAILED = "failed"
    """No complete answer: upstream refused the connection, reset it or answered 5xx, whatever the reason."""
    UNANSWERED = "unanswered"
    """The gateway gave up waiting for the answer's end, or for its beginning."""
    CUT = "cut"
    """A stream that ended without its end mark."""
    EMPTY = "empty"
    """An answer of status 200 without any content."""
    REPEATED = "repeated"
    """An answer that says the same over and over: a loop that the model does not leave."""
    REFUSED = "refused"
    """The engine took a request for faulty that the gateway had let through, or the model declined to answer."""
    INVALID = "invalid"
    """A structured answer that is not JSON of its task's schema."""
    TRUNCATED = "truncated"
    """A structured answer that ended at its token limit."""
    ABANDONED = "abandoned"
    """The client left before the answer was complete."""


class Objective(StrEnum):
    """What is promised to each request; a miss is counted when it is certain, at most once per request and objective.

    What the client did wrong is no miss, nor that it left before its deadline.
    """

    AVAILABILITY = "availability"
    """Missed by a request that failed, was cut, was never answered, or was turned away by the gateway's own trouble."""
    LATENCY = "latency"
    """Missed by a whole answer over its class's p95 target, and where there is no answer."""
    FIRST_TOKEN = "first_token"
    """Of streams; missed over the class's p95 target, and by one that failed before."""
    TOKEN_INTERVAL = "token_interval"
    """Of streams; missed by a whole one over the class's p95 target, and by one that failed."""
    GOODPUT = "goodput"
    """Missed with any of the others."""


GRADED = frozenset({BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH})
OF_STREAMS = frozenset({BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS})
"""Only a request that asked for a stream can show them."""
Levels = dict[BadEvent, tuple[float, ...]]
"""Where a graded event's levels are cut, rising; a value at a cut lies below it. n cuts make n + 1 levels."""


# --- The gateway's configuration --------------------------------------------------------------------------------


class TaskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    path: str
    kind: TaskKind
    task_class: str
    output_tokens_max: int
    tier: str
    """The tier that serves the task when the request names no model."""


class ClassConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target_seconds: float
    """The spec's p95 target of the whole answer."""
    timeout_seconds: float
    """After this the gateway gives up: the request is unanswered."""
    first_token_target_seconds: float
    """The spec's p95 target of a stream's first content."""
    token_interval_target_seconds: float
    """The spec's p95 target of the mean time between a stream's tokens."""


class TierConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    """The name under which clients ask for the tier and engines serve it."""
    context_tokens_max: int


class StrataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Strata are known before the outcome: prompt length by requested output. Label: ``p{i}o{j}``, where ``i`` is
    the number of prompt bounds that the prompt's length exceeds, ``j`` likewise for the requested output tokens."""

    prompt_chars: tuple[int, ...]
    output_tokens: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every stratum's label."""
        return tuple(
            f"p{i}o{j}" for i in range(len(self.prompt_chars) + 1) for j in range(len(self.output_tokens) + 1)
        )


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every bound of a gateway worker. All are per worker."""

    body_bytes_max: int
    body_read_timeout_seconds: float
    prompt_chars_max: int
    in_flight_max: int
    queue_max: int
    queue_timeout_seconds: float
    connect_timeout_seconds: float
    attempts_max: int
    """Tries of one request before its first byte, all within one arm."""
    drain_timeout_seconds: float
    epochs_kept_max: int
    """Counters of older epochs of a tier are dropped."""


class ServingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a gateway reads. ``ops spec compile`` derives it from the spec."""

    service: str
    spec_digest: str
    tiers: dict[str, TierConfig]
    tasks: tuple[TaskConfig, ...]
    classes: dict[str, ClassConfig]
    strata: StrataConfig
    limits: LimitsConfig
    latency_bounds_seconds: tuple[float, ...]
    """Upper bounds of the request latency histogram, rising; they include every class's target, as do those below."""
    first_token_bounds_seconds: tuple[float, ...]
    token_interval_bounds_seconds: tuple[float, ...]
    """Far finer than the first token's: an engine makes tokens some milliseconds apart."""


# --- The routing table ------------------------------------------------------------------------------------------

WEIGHT_TOTAL = 10_000


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    replica: str
    url: str
    """Base URL of an engine, without a trailing slash: ``http://127.0.0.1:8001``."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    arm: Arm
    release: str
    weight: int
    """Basis points of the tier's new requests."""
    endpoints: tuple[Endpoint, ...]
    template_version: str
    """Which folder of ``serving/tasks`` renders the prompts of this release."""


class RoutingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the new requests of one tier go. Holds a stable route always; weights sum to ``WEIGHT_TOTAL``."""

    tier: str
    epoch: int
    """A worker refuses an epoch lower than the highest it has seen: an old controller is fenced off."""
    routes: tuple[Route, ...]
    lease_seconds: float | None = None
    """By the worker's monotonic clock, from the push or the last renewal. None: no end (stable alone)."""
    affinity: str = "request"
    """``request``: at random; ``session``: by a hash of salt and session."""
    salt: str = ""
    levels: dict[str, dict[str, Levels]] = {}
    """By task class, then stratum; frozen with the epoch."""

    def __post_init__(self) -> None:
        arms = [route.arm for route in self.routes]
        if Arm.STABLE not in arms:
            raise ValueError("a routing table needs a stable route")
        if len(set(arms)) != len(arms):
            raise ValueError("a routing table names each arm once")
        if any(route.weight < 0 for route in self.routes):
            raise ValueError("a weight is negative")
        if sum(route.weight for route in self.routes) != WEIGHT_TOTAL:
            raise ValueError(f"the weights do not sum to {WEIGHT_TOTAL}")
        if any(route.weight and not route.endpoints for route in self.routes):
            raise ValueError("a route with weight needs an endpoint")
        if self.lease_seconds is None and self.route(Arm.STABLE).weight != WEIGHT_TOTAL:
            raise ValueError("a table with weight off stable needs a lease")
        if self.affinity not in ("request", "session"):
            raise ValueError("affinity is 'request' or 'session'")
        for levels in (levels for strata in self.levels.values() for levels in strata.values()):
            for event, cuts in levels.items():
                if event not in GRADED or not cuts or any(after <= before for before, after in pairwise(cuts)):
                    raise ValueError(f"levels of {event.value}: a graded event with rising cuts is needed")

    def route(self, arm: Arm) -> Route:
        """The arm's route. Raises KeyError if the table has none."""
        for route in self.routes:
            if route.arm is arm:
                return route
        raise KeyError(arm)


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: int
    lease_seconds: float


class ForceStable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actor: str
    reason: str


class RouteState(StrEnum):
    """What a worker does with a tier's table."""

    ACTIVE = "active"
    LEASE_EXPIRED = "lease_expired"
    """Nobody renewed: new requests go to stable until a higher epoch comes."""
    FORCED_STABLE = "forced_stable"
    """By hand (break glass): as above."""


class Refusal(StrEnum):
    EPOCH_TOO_LOW = "epoch_too_low"
    EPOCH_UNKNOWN = "epoch_unknown"
    """A renewal of an epoch that this worker does not hold (it was restarted, say): push the table again."""
    LEASE_EXPIRED = "lease_expired"
    FORCED_STABLE = "forced_stable"
    TABLE_DIFFERS = "table_differs"
    """The epoch is known but with another table."""


class Ack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    worker: str
    tier: str
    epoch: int
    """The epoch that the worker holds after the call."""
    state: RouteState
    refusal: Refusal | None = None


class TierState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    table: RoutingTable
    state: RouteState
    lease_left_seconds: float | None
    forced_by: ForceStable | None = None


class WorkerState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    worker: str
    instance: str
    tiers: dict[str, TierState]


# --- Counters ---------------------------------------------------------------------------------------------------


class CounterCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counts since the worker started, of the real requests (not synthetic) of one tier, arm, epoch, class, stratum."""

    tier: str
    arm: Arm
    epoch: int
    task_class: str
    stratum: str
    assigned: int
    finished: int
    streamed: int
    """Assigned requests that asked for a stream: the opportunities of ``slow_first_token``."""
    bad: dict[BadEvent, int]
    """Kinds that never happened may be absent."""
    levels: dict[BadEvent, tuple[int, ...]] = {}
    """Requests on each level of a graded event, the lowest first; absent where the epoch's table has no cuts for it."""


class MeasuredCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What answered requests showed of each graded event; the levels of a rollout are cut from it."""

    tier: str
    arm: Arm
    task_class: str
    stratum: str
    counts: dict[BadEvent, tuple[int, ...]]
    """Per bound of ``FINE_BOUNDS``, not cumulative; one more for what lies above the last. Absent: nothing yet."""


class CounterSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    worker: str
    instance: str
    """A new one at each start of the worker: another instance means that its counts began again at 0."""
    at_unix_seconds: float
    cells: tuple[CounterCell, ...]
    measured: tuple[MeasuredCell, ...]


def _steps(first: float, count: int) -> tuple[float, ...]:
    """``count`` bounds in steps of 10 %: narrow enough that a quantile read from them errs by under 5 %."""
    return tuple(round(first * 1.1**i, 6) for i in range(count))


FINE_BOUNDS: dict[BadEvent, tuple[float, ...]] = {
    BadEvent.SLOW: _steps(0.001, 121),  # 1 ms to 92 s
    BadEvent.SLOW_FIRST_TOKEN: _steps(0.001, 121),
    BadEvent.SLOW_TOKENS: _steps(0.0001, 121),  # 0.1 ms to 9 s
    BadEvent.OUTPUT_LENGTH: tuple(float(n) for n in sorted({round(1.1**i) for i in range(123)})),  # 1 to 112,000 tokens
}


# --- Metric names (Prometheus), exposed on each worker's admin port ---------------------------------------------
# Labels of the first two: tier, arm, epoch, task_class, stratum (and event). Counters carry the suffix _total.

METRIC_ASSIGNED = "gateway_requests_assigned"
METRIC_BAD = "gateway_requests_bad"
METRIC_LEVEL = "gateway_requests_level"
"""Counter with labels event and level (its number, from 0) beside the others: ``CounterCell.levels``."""
METRIC_FINISHED = "gateway_requests_finished"
METRIC_STREAMED = "gateway_requests_streamed"
METRIC_CONTROL_SUM = "gateway_requests_control_sum"
"""Gauge: the sum over all series of the counters above, each plus one, so that one at 0 counts too. Where what was
stored sums up to something else, series were dropped, doubled or mixed with another's on their way."""
METRIC_INSTANCE = "gateway_worker_info"
"""Gauge 1 with labels worker, instance."""
METRIC_LATENCY = "gateway_request_latency_seconds"
"""Histogram by tier, arm, task_class."""
METRIC_FIRST_TOKEN = "gateway_time_to_first_token_seconds"
METRIC_TOKEN_INTERVAL = "gateway_token_interval_seconds"
"""Histogram by tier, arm, task_class: mean seconds between a whole stream's tokens after the first."""
METRIC_OUTPUT_TOKENS = "gateway_output_tokens"
"""Histogram by tier, arm, task_class: tokens of a whole answer."""
METRIC_RESPONSES = "gateway_responses"
"""Counter by task, tier, status: all that clients were answered, refusals at the door included."""
METRIC_REFUSED = "gateway_requests_refused"
"""Counter by limit: what the door refused (no arm was assigned)."""
METRIC_OBJECTIVE_REQUESTS = "gateway_objective_requests"
"""Counter by tier, task_class, objective: the requests that ``Objective`` is promised to, over all arms and epochs.
Like the next two it has all its series, at 0, from the worker's start, since Prometheus's ``rate()`` never sees the
first increment of a new series. Synthetic traffic is in none of the three."""
METRIC_OBJECTIVE_MISSES = "gateway_objective_misses"
"""Counter by tier, task_class, objective: never more than the requests."""
METRIC_EVENTS = "gateway_events"
"""Counter by tier, task_class, event: the bad events that are not graded, over all arms and epochs."""
METRIC_IN_FLIGHT = "gateway_requests_in_flight"
METRIC_QUEUED = "gateway_requests_queued"
METRIC_TOKENS = "gateway_tokens"
"""Counter by task, tier, direction (prompt, completion), from the engines' usage."""
METRIC_SYNTHETIC = "gateway_synthetic_requests"
"""Counter by task, status."""
METRIC_ROUTE_EPOCH = "gateway_route_epoch"
METRIC_ROUTE_WEIGHT = "gateway_route_weight_ratio"
"""Gauge by tier, arm, release: the weight in force, 0 to 1."""
METRIC_ROUTE_STATE = "gateway_route_state"
"""Gauge by tier, state: 1 for the state in force."""
