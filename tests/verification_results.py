"""A result of a verification whose losses are made up."""

import numpy as np

from tqd_probe.sampling.level_buckets import bucket_edges
from tqd_probe.verification.comparison import compare_with_baseline
from tqd_probe.verification.interim_analyses import InterimAnalysis
from tqd_probe.verification.result import SamplerLosses, VerificationResult
from tqd_probe.verification.settings import VerificationSettings

ANALYSIS = InterimAnalysis(seeds=3, level=0.025, error_spent=0.025)


def made_up_losses(shift, seeds=3, clips=10):
    """Losses [seeds, clips, buckets] of two samplers, apart in the lower half."""
    rng = np.random.default_rng(1)
    base = 0.5 + 0.1 * rng.random((seeds, clips, 10))
    other = base + 0.001 * rng.normal(size=base.shape)
    other[:, :, :5] += shift
    return {"uniform": base, "bands": other}


def made_up_result(shift, sigma_range=(0.0, 1.0)):
    losses = made_up_losses(shift)
    return VerificationResult(
        tool_version="0",
        settings=VerificationSettings(
            ckpt="tiny", clips="a.csv", golden="g", steps=9, lora_rank=4
        ),
        baseline="uniform",
        seeds=3,
        stopped_early=True,
        golden_clips=10,
        start_loss=0.6,
        start_bucket_loss=[0.6] * 10,
        sigma_edges=bucket_edges(sigma_range).tolist(),
        interim_analyses=[ANALYSIS],
        samplers={
            label: SamplerLosses(
                loss=float(values.mean()),
                loss_per_seed=values.mean((1, 2)).tolist(),
                bucket_loss=values.mean((0, 1)).tolist(),
            )
            for label, values in losses.items()
        },
        comparisons=compare_with_baseline(losses, "uniform", ANALYSIS),
    )
