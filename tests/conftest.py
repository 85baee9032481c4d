import csv
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from tqd_probe.gradients.layout import make_layout

torch.set_num_threads(2)

SCORES = {
    "golden": (0.8, 0.8),
    "visual_degraded": (0.9, 0.3),
    "motion_degraded": (0.2, 0.7),
}


@pytest.fixture
def wan():
    """A Wan transformer with random weights and every kind of parameter."""
    torch.manual_seed(3)
    network = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=10,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=16,
    ).eval()
    with torch.no_grad():  # zero and one initialisations would hide faults
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture
def wan_batch():
    """Eight clips: noisy latents, levels, text, targets."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(8, *shape, generator=generator, dtype=torch.float64)

    sigma = torch.tensor(np.linspace(0.1, 0.9, 8))
    return draw(4, 3, 4, 6), sigma, draw(5, 10), draw(4, 3, 4, 6)


@pytest.fixture
def wan_layout(wan):
    return make_layout(wan, {"all": [name for name, _ in wan.named_parameters()]})


def build_pipeline(folder, layers=2):
    """Save a complete small Wan pipeline with random weights; native 5 x 32 x 32."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline
    from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

    torch.manual_seed(11)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    vocab += [(letter, -3.0) for letter in letters]
    tokenizer = T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=24)
    text_encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=len(tokenizer),
            d_model=16,
            d_kv=8,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
        )
    )
    vae = AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        patch_size=2,
        in_channels=12,
        out_channels=12,
        scale_factor_spatial=8,
        latents_mean=[0.1, -0.2, 0.0, 0.3],
        latents_std=[0.5, 1.5, 1.0, 2.0],
    )
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=layers,
        rope_max_seq_len=16,
    )
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    ).save_pretrained(folder)
    shape = {"num_frames": 5, "height": 32, "width": 32, "fps": 16}
    (folder / "native_clip.json").write_text(json.dumps(shape))
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory):
    return build_pipeline(tmp_path_factory.mktemp("ckpt") / "small-wan")


@pytest.fixture
def copied(pipeline, tmp_path):
    """A copy of the pipeline that a test may damage."""
    return Path(shutil.copytree(pipeline, tmp_path / "ckpt"))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    os.environ["TQD_PROBE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def folder_of_clips(tmp_path_factory):
    """Six real mp4 files with captions, 14 frames at 16 fps, 48 x 40."""
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.synthetic import synthetic_clip
    from tqd_probe.clips.video import write_video

    folder = tmp_path_factory.mktemp("videos")
    for index in range(6):
        clip = synthetic_clip(index, 5)
        write_video(folder / f"c{index}.mp4", clip.read(ClipShape(14, 48, 40, 16)), 16)
        (folder / f"c{index}.txt").write_text(clip.caption)
    return folder


@pytest.fixture(scope="session")
def schedule():
    """A valid schedule: visual bands at the top, motion in two places, a mixture."""
    from tqd_probe.schedules.band_schedule import BandSchedule

    def curves(bands, alpha, beta):
        return {
            "degradations": {"blur": 3},
            "clips": 24,
            **{
                key: [0.5, 0.8, 0.9] for key in ("cosine", "cosine_naive", "norm_ratio")
            },
            "cosine_ci": [[0.4, 0.6]] * 3,
            "norm_ratio_ci": [[0.9, 1.1]] * 3,
            "bias2": [1.0, 0.5, 0.1],
            "bands": bands,
            "beta": {"alpha": alpha, "beta": beta, "ks": 0.02},
            "logit_offset": {"value": 1.1, "ks": 0.03},
        }

    return BandSchedule.model_validate(
        {
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
                "levels": [0.1, 0.5, 0.9],
                "logsnr": [4.4, 0.0, -4.4],
            },
            "criterion": {
                "name": "cosine",
                "cos_min": 0.9,
                "norm_range": [0.5, 2.0],
                "confidence": 0.95,
            },
            "golden": {
                "clips": 24,
                "draws": 2,
                "snr": [0.4, 0.3, 0.2],
                "resolved": [True] * 3,
            },
            "classes": {
                "visual_degraded": curves([[0.6, 1.0]], 3.9, 1.7),
                "motion_degraded": curves([[0.0, 0.3], [0.5, 0.7]], 1.2, 1.8),
            },
            "mixture": {
                "classes": ["golden", "visual_degraded", "motion_degraded"],
                "pool": {
                    "golden": 10,
                    "visual_degraded": 80,
                    "motion_degraded": 80,
                },
                "weights": [[0.5, 0.0, 0.5], [0.4, 0.3, 0.3], [0.2, 0.6, 0.2]],
            },
        }
    )


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    """Nine real videos of three classes with scores."""
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.synthetic import synthetic_clip
    from tqd_probe.clips.video import write_video

    folder = tmp_path_factory.mktemp("pool")
    rows = [["video", "caption", "mq", "vq", "class"]]
    for index in range(9):
        name = list(SCORES)[index % 3]
        clip = synthetic_clip(index, 8)
        video = clip.read(ClipShape(5, 32, 32, 16))
        if name == "motion_degraded":
            video[:] = video[:1]
        write_video(folder / f"c{index}.mp4", video, 16)
        rows.append([f"c{index}.mp4", clip.caption, *SCORES[name], name])
    with open(folder / "clips.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return folder / "clips.csv"


@pytest.fixture(scope="session")
def straight(pipeline, manifest, tmp_path_factory):
    """A run of seven steps that nothing interrupts; do not change it."""
    from training_runs import options

    from tqd_probe import train as command

    out = tmp_path_factory.mktemp("straight") / "run"
    command(**options(pipeline, manifest, out), quiet=True)  # a module one can call
    return out
