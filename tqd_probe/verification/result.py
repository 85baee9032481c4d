"""What a verification finds: the typed content of ``verify.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tqd_probe.core.files import write_json
from tqd_probe.core.json_models import StrictModel, read_model
from tqd_probe.statistics.paired_difference import Difference
from tqd_probe.verification.interim_analyses import InterimAnalysis
from tqd_probe.verification.settings import VerificationSettings

Outcome = Literal["helps", "hurts", "no difference shown"]


class SamplerLosses(StrictModel):
    """Golden held-out loss after training with one sampler."""

    loss: float = Field(description="Mean over seeds, clips and buckets.")
    loss_per_seed: list[float] = Field(description="Mean over clips and buckets.")
    bucket_loss: list[float] = Field(description="Mean over seeds and clips.")


class ComparisonResult(StrictModel):
    """One sampler against the baseline; differences below 0 are better."""

    outcome: Outcome = Field(
        validation_alias="verdict",
        serialization_alias="verdict",
        description="What the interval shows.",
    )
    difference: Difference = Field(description="Of losses, over all buckets.")
    buckets: list[Difference] = Field(
        description="In each bucket, corrected for their number too."
    )


class VerificationResult(StrictModel):
    """The comparison of samplers on a checkpoint and clips."""

    format: Literal["tqd-verify"] = "tqd-verify"
    version: Literal[1] = 1
    tool_version: str = Field(description="Version of tqd_probe.")
    settings: VerificationSettings = Field(description="What decides the outcome.")
    baseline: str = Field(description="Label of the sampler others are compared with.")
    seeds: int = Field(description="Trials of each sampler.")
    stopped_early: bool = Field(description="Whether fewer seeds than asked sufficed.")
    golden_clips: int = Field(description="Golden clips judged by.")
    start_loss: float = Field(description="Mean golden loss before training.")
    start_bucket_loss: list[float] = Field(description="The same in each bucket.")
    sigma_edges: list[float] = Field(description="Edges of the buckets, rising.")
    interim_analyses: list[InterimAnalysis] = Field(
        validation_alias="looks",
        serialization_alias="looks",
        description="Analyses planned, the last after all seeds.",
    )
    samplers: dict[str, SamplerLosses] = Field(description="By label, baseline first.")
    comparisons: dict[str, ComparisonResult] = Field(
        validation_alias="verdicts",
        serialization_alias="verdicts",
        description="By label, without the baseline.",
    )

    def save(self, path: Path) -> None:
        """Write the result as JSON.

        Args:
            path: The file.
        """
        write_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def load(cls, path: Path) -> VerificationResult:
        """Read a result.

        Args:
            path: A ``verify.json``.

        Returns:
            The result.

        Raises:
            InputError: If the file is missing, damaged or of another format.
        """
        cure = "correct the file or run the verification again"
        return read_model(path, cls, "the result of a verification", cure)
