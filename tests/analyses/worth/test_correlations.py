"""Similarity and what it is worth, on numbers known beforehand."""

import numpy as np
import pytest
import torch


def test_cosine_of_gradients_is_free_of_noise_bias():
    from analyses.worth.correlations import cosine_of

    rng = torch.Generator().manual_seed(1)
    mean = torch.randn(400, generator=rng)
    own = mean + torch.randn(40, 400, generator=rng)
    other = -0.5 * mean + torch.randn(40, 400, generator=rng)
    found = cosine_of(own, other)
    assert found["cosine"] == pytest.approx(-1, abs=0.1)
    assert found["first_order"] == pytest.approx(-0.5, abs=0.05)
    assert found["ci"][0] < found["cosine"] < found["ci"][1]
    assert found["resolved"] is True


def test_worth_is_one_where_cosine_orders_the_gains(monkeypatch):
    from analyses.worth import correlations

    monkeypatch.setattr(correlations, "RESAMPLES", 200)
    levels, names = [0.2, 0.8], ["blur:1", "blur:3", "blur:5"]
    rng = np.random.default_rng(2)
    before = 1 + 0.01 * rng.standard_normal((12, 2))
    gain = {
        ("blur:1", 0): 0.9,
        ("blur:3", 0): 0.3,
        ("blur:5", 0): -0.4,
        ("blur:1", 1): 0.8,
        ("blur:3", 1): 0.6,
        ("blur:5", 1): 0.1,
    }

    def losses(share, level):
        lower = before.copy()
        lower[:, level] -= 0.1 * share
        return (lower + 0.001 * rng.standard_normal(before.shape)).tolist()

    def trials(share, level):
        return [
            {
                "early": losses(share / 4, level),
                "look": losses(share / 2, level),
                "end": losses(share, level),
                "cosine": {"cosine": share},
            }
            for _ in range(3)
        ]

    rows = [
        {
            "degradation": name,
            "sigma": levels[j],
            "raw": {
                "cosine": share,
                "ci": [share - 0.01, share + 0.01],
                "first_order": share,
                "resolved": True,
            },
            "adam": {"cosine": share, "ci": [share - 0.01, share + 0.01]},
            "latent_distance_over_noise": share,
        }
        for (name, j), share in gain.items()
    ]
    found = {f"{n} {levels[j]:g}": trials(s, j) for (n, j), s in gain.items()}
    found |= {f"golden {sigma:g}": trials(1.0, j) for j, sigma in enumerate(levels)}
    result = correlations.summarise(rows, before, found, levels, names)
    table = result["correlations"]["share of golden gain"]
    assert result["pairs_used"] == 6
    assert table["cosine"]["spearman"] == pytest.approx(1)
    assert table["cosine"]["measured_ci"][0] > 0.9
    # The further the degradation moves the latents, the better it is made to do here.
    assert table["latent distance over noise"]["spearman"] == pytest.approx(-1)
    early = result["points"][0]["share_at_half_of_look_ahead"]
    assert early == pytest.approx(0.9, abs=0.05)  # golden brings a quarter too
    assert result["points"][0]["achieved"]["share of golden gain"] == pytest.approx(
        0.9, abs=0.05
    )
