"""The spec: its types, its faults, and what is compiled from it. Pure: text and files are the adapters' business."""

from ops.spec.faults import Fault, SpecError
from ops.spec.model import Spec

__all__ = ["Fault", "Spec", "SpecError"]
