"""What can be chosen at the top of more than one dashboard."""

from __future__ import annotations

from ops.dashboarding.model import Variable
from ops.dashboarding.querying import INSTANCE, JOB, TIER

TIERS = Variable("tier", "Tier", f"label_values(gateway_route_epoch{{{JOB}}}, tier)", every=".*")
TASK_CLASSES = Variable(
    "task_class",
    "Task class",
    f"label_values(gateway_objective_requests_total{{{JOB},{TIER}}}, task_class)",
    every=".*",
)
MODELS = Variable("model", "Model", f"label_values(vllm:num_requests_running{{{JOB},{INSTANCE}}}, model_name)")
ROLLOUT_TIERS = Variable("tier", "Tier", f"label_values(rollout_state{{{JOB}}}, tier)")
