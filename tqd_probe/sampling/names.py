"""Names of the samplers, in a module of its own: options are parsed without torch."""

from __future__ import annotations

from typing import Literal, get_args

SamplerName = Literal["uniform", "logit_normal", "measured", "beta", "bands", "mixture"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
BY_SCHEDULE = ("measured", "bands", "mixture")  # samplers that need one
ON_BASE = {"bands", "mixture"}  # samplers that a measured base serves
BaseName = Literal["uniform", "logit_normal", "measured"]
