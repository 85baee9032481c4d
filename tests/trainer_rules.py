"""Other trainers' timestep rules, written down anew from their sources, to draw by.

Each function draws sigma as the named file does, without what the package computes.
"""

from functools import cache

import numpy as np
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
    picked = rng.integers(int(low * 1000), int(high * 1000), draws)
    return diffsynth_wan_levels()[picked]


@cache
def diffsynth_wan_levels():
    """The level at which each index is trained ``[1000]``."""
    import torch

    sigmas = torch.linspace(1.0, 0.0, 1001)[:-1]
    sigmas = 5 * sigmas / (1 + 4 * sigmas)
    timesteps = sigmas * 1000
    seen = timesteps.to(torch.bfloat16)
    nearest = (timesteps[None] - seen[:, None]).abs().argmin(1)
    return sigmas[nearest].numpy()


def simpletuner(rng, offset=0.0, scale=1.0, shift=3.0, schedule=None, **others):
    """SimpleTuner, helpers/models/common.py, sample_flow_sigmas."""
    if schedule == "uniform":
        sigmas = rng.random(DRAWS)
    elif schedule == "beta":
        sigmas = rng.beta(others["alpha"], others["beta"], DRAWS)
    else:
        sigmas = expit(scale * (rng.normal(size=DRAWS) + offset))
    return shifted(sigmas, shift)


def ltx2_shifted(rng, tokens, std=1.0, eps=1e-3, uniform_prob=0.1):
    """LTX-2, ltx_trainer/timestep_samplers.py, ShiftedLogitNormalTimestepSampler."""
    mu = 0.95 + (2.05 - 0.95) / (4096 - 1024) * (tokens - 1024)
    drawn = expit(rng.normal(size=DRAWS) * std + mu)
    p999, p005 = expit(mu + 3.0902 * std), expit(mu - 2.5758 * std)
    raw = (drawn - p005) / (p999 - p005)
    raw = np.clip(np.where(raw >= eps, raw, 2 * eps - raw), 0, 1)
    uniform = (1 - eps) * rng.random(DRAWS) + eps
    return np.where(rng.random(DRAWS) > uniform_prob, raw, uniform)


def ai_toolkit(rng, low=0, high=999, timestep_type="sigmoid", batches=DRAWS):
    """ai-toolkit, jobs/process/BaseSDTrainProcess.py; samplers/custom_flowmatch."""
    low, high = max(low, 0), min(high, 999)
    picked = rng.integers(low, high, batches)
    if timestep_type == "linear":
        return np.linspace(1000, 1, 1000)[picked] / 1000
    if timestep_type == "shift":  # of FlowMatchEulerDiscreteScheduler at shift 3
        smallest = shifted(0.001, 3.0)
        return shifted(np.linspace(1000, 1000 * smallest, 1000) / 1000, 3.0)[picked]
    drawn = np.empty(batches)
    for index, pick in enumerate(picked):
        drawn[index] = np.sort(1 - expit(rng.normal(size=1000)))[::-1][pick]
    return drawn


def ai_toolkit_stages(rng, index, timestep_type, batches):
    """ai-toolkit with two networks, BaseSDTrainProcess.py, is_multistage."""
    top, bottom = ((1000.0, 875.0), (875.0, 0.0))[index]
    drawn = []
    for _ in range(batches):
        if timestep_type == "linear":
            listed = np.linspace(1000, 1, 1000)
        elif timestep_type == "shift":
            smallest = shifted(0.001, 3.0)
            listed = 1000 * shifted(np.linspace(1.0, smallest, 1000), 3.0)
        else:
            listed = np.sort(1000 * (1 - expit(rng.normal(size=1000))))[::-1]
        above = len(listed) - np.searchsorted(listed[::-1], top, side="left")
        inside = len(listed) - np.searchsorted(listed[::-1], bottom, side="right")
        first, last = (above - 1, inside - 1) if inside > above else (0, 999)
        drawn.append(listed[rng.integers(max(first, 0), min(last, 999))] / 1000)
    return np.array(drawn)


def nemo(
    rng,
    timestep_sampling="logit_normal",
    flow_shift=3.0,
    sigma_min=0.0,
    sigma_max=1.0,
    mix_uniform_ratio=0.1,
    beta_alpha=2.5,
    beta_beta=1.5,
    use_sigma_noise=True,
    logit_mean=0.0,
    logit_std=1.0,
):
    """NeMo Automodel, flow_matching/pipeline.py, sample_timesteps."""
    if not use_sigma_noise:
        return np.clip(rng.random(DRAWS), sigma_min, sigma_max)
    if timestep_sampling == "beta":
        return np.clip(rng.beta(beta_alpha, beta_beta, DRAWS), sigma_min, sigma_max)
    u = expit(rng.normal(logit_mean, logit_std, DRAWS))
    flat = rng.random(DRAWS)
    if timestep_sampling == "uniform":
        u = flat
    elif mix_uniform_ratio > 0:
        u = np.where(rng.random(DRAWS) < mix_uniform_ratio, flat, u)
    sigma = flow_shift / (flow_shift + (1 / np.maximum(u, 1e-5) - 1))
    return np.clip(sigma, sigma_min, sigma_max)


def fastvideo(rng, logit_mean=0.0, logit_std=1.0, flow_shift=3.0):
    """FastVideo, train/models/wan/wan.py, _sample_timesteps, logit_normal."""
    u = expit(rng.normal(logit_mean, logit_std, DRAWS))
    timesteps = shifted(np.linspace(1, 1000, 1000)[::-1] / 1000, flow_shift)
    return timesteps[(u * 1000).astype(int)]
