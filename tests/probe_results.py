"""Results of probes that a test makes up: curves, without any model."""

import numpy as np

from tqd_probe.probing.result import ProbeResult


def probe_result(
    levels, subjects, *, resolved=True, clips=24, span=(0.0, 1.0), too_few=None
):
    """Build a result.

    `subjects` maps a name to its cosines, or to those with other fields of a comparison
    (``half``: half-width of the intervals, 0.01 by default); a name with a colon is a
    degradation. Scalars hold at all levels.
    """
    count = len(levels)

    def every(value):
        return np.broadcast_to(np.asarray(value, float), (count,)).tolist()

    def comparison(name, given):
        given = dict(given) if isinstance(given, dict) else {"cosine": given}
        cosine, half = every(given.pop("cosine")), every(given.pop("half", 0.01))
        ratio = every(given.pop("ratio", 1.0))
        return {
            "kind": "degradation" if ":" in name else "class",
            "degradations": {},
            "clips": clips,
            "cosine": cosine,
            "cosine_ci": [(c - h, c + h) for c, h in zip(cosine, half)],
            "cosine_naive": cosine,
            "norm_ratio": ratio,
            "norm_ratio_ci": [(r, r) for r in ratio],
            "bias2": every(0.1),
        } | given

    known = np.broadcast_to(np.asarray(resolved, bool), (count,)).tolist()
    ones, pairs = every(1.0), [(0.9, 1.1)] * count
    value = {
        "format": "tqd-gradsim",
        "version": 1,
        "provenance": {"tool_version": "0", "settings": {}, "seed": 0},
        "model": {
            "family": "wan",
            "source": "made up",
            "fingerprint": "sha256:" + "a" * 64,
            "expert": None,
            "parameters": "all",
            "prediction": "flow_velocity",
        },
        "noise": {
            "axis": "sigma",
            "shift": 1.0,
            "range": span,
            "levels": list(levels),
            "logsnr": every(0.0),
        },
        "criterion": {
            "name": "cosine",
            "cos_min": 0.9,
            "delta": 0.03,
            "norm_range": (0.5, 2.0),
            "confidence": 0.95,
            "metric": "adam",
        },
        "clips": {
            "source": "made up",
            "shape": "17 x 64 x 64 at 16 fps",
            "ids": [f"c{i}" for i in range(clips)],
            "draws": 2,
            "quarantine": {},
            "size": {"frames": 17, "height": 64, "width": 64, "fps": 16.0},
            "too_few": too_few or {},
        },
        "covered_share": 1.0,
        "cost": {
            "clip_gradients": 0,
            "passes": 0,
            "batch_size": 1,
            "flops_per_clip_gradient": 0,
            "flops": 0,
            "kept": "exact",
            "sketch_numbers": 1,
            "clips_per_level": [clips] * count,
            "unpaired_clips": 0,
            "draws_per_level": [2] * count,
            "measured": "not",
        },
        "golden": {
            "signal": ones,
            "signal_ci": pairs,
            "snr": ones,
            "ceiling": ones,
            "resolved": known,
            "clips_to_resolve": ones,
            "variance_clips": ones,
            "variance_draws": ones,
            "loss": ones,
        },
        "subjects": {name: comparison(name, each) for name, each in subjects.items()},
        "modules": {},
    }
    return ProbeResult.model_validate(value)
