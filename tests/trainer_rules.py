"""Other trainers' timestep rules, written down anew from their sources, to draw by.

Each function draws sigma as the named file does, without what the package computes.
"""

import numpy as np
import torch
from scipy.special import expit, ndtri

from tqd_probe.exporting.level_distribution import LevelDistribution

DRAWS = 20_000
CLOSE = 1.7 / DRAWS**0.5  # a Kolmogorov distance that one in 150 true ones exceeds


def distance(draws, levels: LevelDistribution) -> float:
    """Return the Kolmogorov distance of draws from a distribution."""
    draws = np.sort(np.asarray(draws, dtype=float))
    places, counts = np.unique(draws, return_counts=True)
    upto = np.cumsum(counts) / len(draws)
    right = np.abs(upto - levels.cdf(places + 2e-7)).max()
    left = np.abs(upto - counts / len(draws) - levels.cdf(places - 2e-7)).max()
    return float(max(left, right))


def shifted(t, s):
    return t * s / (1 + (s - 1) * t)


def musubi(
    rng,
    timestep_sampling="sigma",
    discrete_flow_shift=1.0,
    sigmoid_scale=1.0,
    min_timestep=None,
    max_timestep=None,
    preserve_distribution_shape=False,
    logit_mean=0.0,
    logit_std=1.0,
    weighting_scheme="none",
    mode_scale=1.29,
    **others,
):
    """musubi-tuner, training/trainer_base.py, get_noisy_model_input_and_timesteps."""
    low, high = min_timestep or 0, max_timestep or 1000
    if timestep_sampling == "sigma":
        u = rng.random(DRAWS)
        if weighting_scheme == "logit_normal":
            u = expit(rng.normal(logit_mean, logit_std, DRAWS))
        elif weighting_scheme == "mode":
            u = 1 - u - mode_scale * (np.cos(np.pi * u / 2) ** 2 - 1 + u)
        timesteps = np.linspace(1, 0, 1001)[:-1] * 1000
        return timesteps[(u * (high - low) + low).astype(int)] / 1000

    def once(count):
        if timestep_sampling == "uniform":
            return rng.random(count)
        if timestep_sampling == "logsnr":
            return expit(-rng.normal(logit_mean, logit_std, count) / 2)
        t = expit(sigmoid_scale * rng.normal(size=count))
        return shifted(t, discrete_flow_shift) if timestep_sampling == "shift" else t

    if not preserve_distribution_shape:
        return once(DRAWS) * (high - low) / 1000 + low / 1000
    found = np.empty(0)
    while len(found) < DRAWS:
        t = once(4 * DRAWS)
        found = np.concatenate([found, t[(t >= low / 1000) & (t <= high / 1000)]])
    return found[:DRAWS]


def diffusion_pipe_wan(
    rng,
    timestep_sample_method="logit_normal",
    sigmoid_scale=1.0,
    shift=None,
    min_t=0.0,
    max_t=1.0,
    **others,
):
    """diffusion-pipe, models/wan/wan.py, prepare_inputs; utils/common.py."""
    quantiles = np.linspace(1e-4, 1 - 1e-4, 10_000)
    t = quantiles
    if timestep_sample_method == "logit_normal":
        t = expit(ndtri(quantiles) * sigmoid_scale)
    if shift:
        t = shifted(t, shift)
    t = t[np.searchsorted(t, min_t) : np.searchsorted(t, max_t)]
    return t[rng.integers(0, len(t), DRAWS)]


def diffsynth_wan(rng, low=0.0, high=1.0, draws=DRAWS):
    """DiffSynth-Studio, diffusion/loss.py, FlowMatchSFTLoss; diffusion/flow_match.py.

    The grid of Wan in training has shift 5. The timestep is cast to bfloat16, and
    add_noise takes the level of the nearest timestep.
    """
    sigmas = torch.linspace(1.0, 0.0, 1001)[:-1]
    sigmas = 5 * sigmas / (1 + 4 * sigmas)
    timesteps = sigmas * 1000
    picked = torch.from_numpy(rng.integers(int(low * 1000), int(high * 1000), draws))
    seen = timesteps[picked].to(torch.bfloat16)
    nearest = (timesteps[None] - seen[:, None]).abs().argmin(1)
    return sigmas[nearest].numpy()
