"""What every part of the spec shares: strictness, names and the bounds of numbers and lists.

Strict means: no coercion, no unknown key, no infinity; frozen means that a spec, once read, is a value. Bounds
are generous; they are there so that nothing in a spec is without one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-z][a-z0-9_-]*$"
"""Fit for a file's name, a URL's segment and a metric's label."""
LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
"""What others have named: models, machine types."""
NAME_LENGTH_MAX = 63
"""As long as a DNS label and a Kubernetes label's value may be."""
TEXT_LENGTH_MAX = 500
ENTRIES_MAX = 64
"""Entries of any mapping or list of a spec."""
BOUNDS_MAX = 64
"""Buckets of one histogram: each is a time series per label set."""
YEAR_SECONDS = 366 * 86400
NUMBER_MAX = 10**12


class Part(BaseModel):
    """A mapping of the spec with fixed keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, defer_build=True
    )


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=NAME_LENGTH_MAX)]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, max_length=NAME_LENGTH_MAX)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX)]
Count = Annotated[int, Field(ge=1, le=NUMBER_MAX)]
Amount = Annotated[float, Field(gt=0, le=NUMBER_MAX)]
Seconds = Annotated[float, Field(gt=0, le=YEAR_SECONDS)]
Milliseconds = Annotated[float, Field(gt=0, le=YEAR_SECONDS * 1000)]
Percent = Annotated[float, Field(gt=0, le=100)]
Days = Annotated[int, Field(ge=1, le=36_600)]
