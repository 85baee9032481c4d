"""The names of the samplers, apart from the samplers: options need no torch."""

from __future__ import annotations

from typing import Literal, get_args

SamplerName = Literal["uniform", "logit_normal", "beta", "bands", "mixture"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
