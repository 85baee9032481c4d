"""Valid schedules of both versions of the format, as JSON."""

CURVES = {
    "degradations": {"blur": 3},
    "clips": 24,
    "cosine": [0.2, None],
    "cosine_ci": [[0.1, 0.3], None],
    "cosine_naive": [0.2, 0.8],
    "norm_ratio": [2.6, 1.0],
    "norm_ratio_ci": [[2.0, 3.1], [0.9, 1.1]],
    "bias2": [1.0, 0.1],
    "bands": [[0.1, 0.2], [0.72, 1.0]],
    "edges_ci": [[[0.05, 0.1], [0.2, 0.2]], [[0.6, 0.8], [1.0, 1.0]]],
    "possible": [[0.05, 0.2], [0.6, 1.0]],
    "beta": {"alpha": 3.9, "beta": 1.7, "ks": 0.02},
    "logit_offset": {"value": 1.1, "ks": 0.03},
}
VERSION_1 = {
    "format": "tqd-band-schedule",
    "version": 1,
    "provenance": {"tool_version": "0.1.0", "argv": ["gradsim"], "seed": 0},
    "model": {
        "family": "wan",
        "source": "tiny",
        "fingerprint": "sha256:" + "a" * 64,
        "expert": None,
        "parameters": "all",
        "prediction": "flow_velocity",
    },
    "noise": {
        "axis": "sigma",
        "shift": 1.0,
        "levels": [0.05, 0.15],
        "logsnr": [5.9, 3.5],
    },
    "criterion": {
        "name": "cosine",
        "cos_min": 0.9,
        "norm_range": [0.5, 2.0],
        "confidence": 0.95,
    },
    "golden": {"clips": 24, "draws": 2, "snr": [0.4, 0.3], "resolved": [True, True]},
    "classes": {"visual_degraded": CURVES},
    "degradations_detail": {"blur:3": CURVES},
    "mixture": {
        "classes": ["golden", "visual_degraded"],
        "pool": {"golden": 1000, "visual_degraded": 8000},
        "weights": [[1.0, 0.0], [0.2, 0.8]],
    },
}

MEASURED = {
    **{key: value for key, value in CURVES.items() if key != "possible"},
    "status": "measured",
    "reason": None,
    "test": [[0.2, 0.3], [0.6, 0.72]],
    "avoid": [[0.05, 0.1], [0.3, 0.6]],
    "clips_for_stable_bands": 48,
}
UNMEASURED = {
    **MEASURED,
    **{key: [] for key, value in MEASURED.items() if isinstance(value, list)},
    "status": "unmeasured",
    "reason": "no degraded copies and no real clips of this class in the probe",
    "degradations": {},
    "clips": 0,
    "clips_for_stable_bands": None,
    "beta": None,
    "logit_offset": None,
}
VERSION_2 = {
    **VERSION_1,
    "version": 2,
    "criterion": {**VERSION_1["criterion"], "delta": 0.03, "metric": "adam"},
    "clip": {"frames": 17, "height": 64, "width": 64, "fps": 16.0},
    "classes": {"visual_degraded": MEASURED, "both_degraded": UNMEASURED},
    "degradations_detail": {"blur:3": MEASURED},
}
