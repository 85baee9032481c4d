"""Train a tiny CogVideoX the way `tiny` was trained: a second architecture.

The same clips, pool, captions, optimiser and rate as `train.py`, in fewer steps;
its own are v-prediction, the noise schedule of CogVideoX-2B with zero terminal SNR
(timesteps drawn uniformly), text and video in one attention, and an autoencoder whose
encoder is fitted in closed form (`fit_encoder_cogvideox.py`). The transformer needs no
decoder and neither does a probe; generating clips does. Both stages resume. The result
is a `CogVideoXPipeline` folder for `--ckpt`; it is not shipped.

    python -m analyses.tiny.train_cogvideox --work WORK --out OUT --stage decoder
    python -m analyses.tiny.train_cogvideox --work WORK --out OUT --stage transformer
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from analyses.results_file import run_script, study_parser, write_results
from analyses.tiny.fit_encoder_cogvideox import fit_encoder
from analyses.tiny.parts import TRAIN_SEED, new_tokenizer
from analyses.tiny.parts_cogvideox import (
    TEXT_LENGTH,
    new_scheduler,
    new_text_encoder,
    new_transformer,
    new_vae,
)
from analyses.tiny.pool import pool_clip
from analyses.tiny.training_tools import (
    HELD_OUT_SEED,
    LATENT_SCALE,
    LEVELS,
    cosine,
    descend,
    encode_set,
    every_50,
    golden_clip,
    load_videos,
    to_model,
    trapezoid,
)
from tqd_probe.core.files import write_json
from tqd_probe.core.rng import stream

FIT_CLIPS = 160  # that the encoder is fitted to and the scale is measured on
BATCH, WARM, RATE = 32, 200, 1.5e-3  # as tiny


def fitted_vae() -> AutoencoderKLCogVideoX:
    """Build the autoencoder with its encoder fitted and its latents' scale measured.

    One scale for all channels, which are principal components, as in `train.py`.
    """
    torch.manual_seed(0)
    vae = new_vae().eval()
    videos = load_videos(TRAIN_SEED, FIT_CLIPS)
    fit_encoder(vae, videos)
    with torch.no_grad():
        raw = torch.cat(
            [vae.encode(to_model(v.numpy())[None]).latent_dist.mode() for v in videos]
        )
    scale = LATENT_SCALE / float(raw.var((0, 2, 3, 4)).mean().sqrt())
    vae.register_to_config(scaling_factor=round(scale, 6))
    return vae


@functools.cache
def roots() -> tuple[torch.Tensor, torch.Tensor]:
    """Return sqrt(abar) and sqrt(1 - abar) ``[1000]`` of the noise schedule."""
    alphas = new_scheduler().alphas_cumprod.double()
    return alphas.sqrt().float(), (1 - alphas).sqrt().float()


def nearest_timestep(sigma: float) -> int:
    """Return the timestep of equal signal-to-noise: sigma = n / (n + s)."""
    signal, noise = roots()
    return int((noise / (noise + signal) - sigma).abs().argmin())


def corrupted(
    x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noisy latents and v ``[B, F, C, h, w]`` at timesteps ``[B]``."""
    signal, noise = (root[t][:, None, None, None, None] for root in roots())
    return signal * x0 + noise * eps, signal * eps - noise * x0


@torch.no_grad()
def held_out_curve(model, text: torch.Tensor, latents: torch.Tensor) -> dict:
    """Loss of v per level on held-out golden clips, beside what needs no network.

    `mean` predicts the mean of the target, which is 0 for centred latents but for what
    golden clips have in common; `linear` is the best multiple of the noisy latent.
    """
    rows = {"sigma": LEVELS, "model": [], "mean": [], "linear": []}
    for level, sigma in enumerate(LEVELS):
        rng = stream(HELD_OUT_SEED, "held-out", level)
        eps = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        t = torch.full((len(latents),), nearest_timestep(sigma))
        x, target = corrupted(latents, eps, t)
        error = [
            model(a, c, b).sample - v
            for a, b, c, v in zip(
                x.split(32), t.split(32), text.split(32), target.split(32)
            )
        ]
        slope = (x * target).sum() / (x**2).sum()
        rows["model"].append(float((torch.cat(error) ** 2).mean()))
        rows["mean"].append(float((target - target.mean(0)).pow(2).mean()))
        rows["linear"].append(float(((slope * x - target) ** 2).mean()))
    return rows


def train_transformer(
    work: Path,
    latents: torch.Tensor,
    captions: list[str],
    held: tuple[torch.Tensor, list[str]],
    args: argparse.Namespace,
) -> None:
    """Train transformer and text encoder on v; keeps a step file every 500 steps."""
    torch.manual_seed(args.seed + 1)
    tokenizer = new_tokenizer()
    model, encoder = new_transformer(), new_text_encoder(len(tokenizer))

    def tokens(texts: list[str]) -> torch.Tensor:
        return tokenizer(
            texts, padding="max_length", max_length=TEXT_LENGTH, return_tensors="pt"
        ).input_ids

    ids, empty, held_ids = tokens(captions), tokens([""]), tokens(held[1])
    parameters = [*model.parameters(), *encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98))
    path, curve, held_curves, start = work / "transformer.pt", [], {}, 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        encoder.load_state_dict(state["encoder"])
        optimizer.load_state_dict(state["optimizer"])
        start, curve, held_curves = state["step"], state["curve"], state["held"]
    began = time.time()
    for step in range(start, args.steps):
        rng = stream(args.seed, "cogvideox-batch", step)
        rows = torch.from_numpy(rng.integers(0, len(latents), BATCH))
        x0, some = latents[rows], ids[rows].clone()
        eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        u = (rng.permutation(BATCH) + rng.random(BATCH)) / BATCH  # stratified
        t = torch.from_numpy((1000 * u).astype(np.int64))
        some[torch.from_numpy(rng.random(BATCH) < 0.1)] = empty
        x, target = corrupted(x0, eps, t)
        error = model(x, encoder(some).last_hidden_state, t).sample - target
        loss = (error**2).mean()
        descend(
            optimizer, loss, RATE * trapezoid(step, args.zero_rate, WARM, args.decay)
        )
        curve.append([step, float(loss.detach())])
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            with torch.no_grad():
                text = encoder(held_ids).last_hidden_state
            held_curves[str(step + 1)] = held_out_curve(model, text, held[0])
            mean = float(np.mean(held_curves[str(step + 1)]["model"]))
            spent = time.time() - began
            print(f"step {step + 1} held-out {mean:.4f} {spent:.0f} s", flush=True)
            state = {"model": model.state_dict(), "encoder": encoder.state_dict()}
            torch.save(state, work / f"step-{step + 1:05d}.pt")
            state |= {"optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save({**state, "curve": curve, "held": held_curves}, path)


def train_decoder(
    work: Path, vae: AutoencoderKLCogVideoX, args: argparse.Namespace
) -> None:
    """Train the decoder on quarters of golden clips; the encoder stays fixed."""
    torch.manual_seed(args.seed)
    parameters = list(vae.decoder.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.99))
    path, curve, start, steps = work / "decoder.pt", [], 0, args.decoder_steps
    if path.exists():
        state = torch.load(path, weights_only=True)
        vae.decoder.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, curve = state["step"], state["curve"]
    count = min(1024, args.clips)
    videos = load_videos(TRAIN_SEED, count) if start < steps else None
    began = time.time()
    for step in range(start, steps):
        rng = stream(args.seed, "cogvideox-decoder", step)
        rows = rng.integers(0, count, 4)
        x = torch.stack([to_model(videos[row].numpy()) for row in rows])
        # The decoder sees no places, so a quarter of the picture teaches it as well.
        down, right = (8 * int(v) for v in rng.integers(0, 5, 2))
        x = x[..., down : down + 32, right : right + 32]
        with torch.no_grad():
            z = vae.encode(x).latent_dist.mode()
        noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
        error = vae.decode(z + 0.05 / vae.config.scaling_factor * noise).sample - x
        loss = (error**2).mean() + 0.1 * (error**2 + 1e-3).sqrt().mean()
        descend(optimizer, loss, 2e-3 * cosine(step, steps, 100, 0.02))
        curve.append([step, float((error.detach() ** 2).mean())])
        if (step + 1) % 50 == 0 or step + 1 == steps:
            psnr = 10 * math.log10(4 / np.mean([e for _, e in curve[-50:]]))
            spent = time.time() - began
            print(f"decoder {step + 1} psnr {psnr:.2f} dB {spent:.0f} s", flush=True)
            state = {"model": vae.decoder.state_dict(), "step": step + 1}
            state |= {"optimizer": optimizer.state_dict(), "curve": curve}
            torch.save(state, path)


@torch.no_grad()
def linear_reconstruction(vae: AutoencoderKLCogVideoX, held_out: int) -> dict:
    """Say what the latents hold: the best linear map from them back to the pixels.

    It takes the latents of a place and of the one before it in time, is fitted by least
    squares on the clips the encoder is fitted to, and judged on held-out golden clips.
    """

    def pairs(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        codes, blocks = [], []
        for video in load_videos(seed, count):
            x = to_model(video.numpy())[None]
            z = vae.encode(x).latent_dist.mode()[0].double()
            both = torch.cat([z[:, 1:], z[:, :-1], torch.ones_like(z[:1, 1:])])
            codes.append(both.flatten(1).T)
            cut = x[0, :, 1:].reshape(3, 4, 4, 8, 8, 8, 8)  # channel, then pairs
            blocks.append(cut.permute(1, 3, 5, 0, 2, 4, 6).flatten(0, 2).flatten(1))
        return torch.cat(codes), torch.cat(blocks).double()

    code, block = pairs(TRAIN_SEED, FIT_CLIPS)
    back = torch.linalg.lstsq(code, block).solution
    code, other = pairs(HELD_OUT_SEED, held_out)
    error = float(((code @ back - other) ** 2).mean())
    variance = float(((other - block.mean(0)) ** 2).mean())
    return {
        "clips": held_out,
        "db": round(10 * math.log10(4 / error), 2),
        "share_of_variance_left": round(error / variance, 4),
    }


@torch.no_grad()
def reconstruction(vae: AutoencoderKLCogVideoX, count: int) -> float:
    """Return the decoder's signal-to-noise on held-out golden clips, in dB."""
    errors = []
    for video in load_videos(HELD_OUT_SEED, count):
        x = to_model(video.numpy())[None]
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample
        errors.append(float(((y.clamp(-1, 1) - x) ** 2).mean()))
    return 10 * math.log10(4 / float(np.mean(errors)))


def export(work: Path, out: Path, vae: AutoencoderKLCogVideoX, step: int) -> None:
    """Write the pipeline folder from one step file."""
    tokenizer = new_tokenizer()
    model, encoder = new_transformer(), new_text_encoder(len(tokenizer))
    state = torch.load(work / f"step-{step:05d}.pt", weights_only=True)
    model.load_state_dict(state["model"])
    encoder.load_state_dict(state["encoder"])
    CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder.eval(),
        vae=vae.eval(),
        transformer=model.eval(),
        scheduler=new_scheduler(),
    ).save_pretrained(out, safe_serialization=True)
    native = {"num_frames": 17, "height": 64, "width": 64, "fps": 16}
    write_json(out / "native_clip.json", native)


def main() -> None:
    """Run one stage, then write the pipeline if both are done."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True, help="working folder")
    parser.add_argument("--out", type=Path, required=True, help="pipeline to write")
    parser.add_argument("--stage", choices=["decoder", "transformer"], required=True)
    parser.add_argument("--decoder-steps", type=int, default=1000)
    parser.add_argument("--clips", type=int, default=4096, help="training clips")
    parser.add_argument("--held-out", type=int, default=256, help="golden clips")
    parser.add_argument("--steps", type=int, default=2500, help="transformer steps")
    parser.add_argument(
        "--zero-rate", type=int, default=2850, help="step at which the rate is zero"
    )
    parser.add_argument(
        "--decay", type=int, default=700, help="steps before it that the rate falls in"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    vae = fitted_vae()
    if args.stage == "decoder":
        train_decoder(args.work, vae, args)
    else:
        raw, captions = encode_set(
            args.work / "pool.pt", vae, TRAIN_SEED, args.clips, pool_clip
        )
        raw_held, held_captions = encode_set(
            args.work / "held-out.pt", vae, HELD_OUT_SEED, args.held_out, golden_clip
        )
        # The pipeline's order is [B, F, C, h, w].
        pool, held = (
            (v * vae.config.scaling_factor).transpose(1, 2).contiguous()
            for v in (raw, raw_held)
        )
        train_transformer(args.work, pool, captions, (held, held_captions), args)
    finish(vae, parser, args)


def finish(
    vae: AutoencoderKLCogVideoX,
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
) -> None:
    """Write the pipeline and the results, as far as the stages are done."""
    decoder, last = args.work / "decoder.pt", args.work / f"step-{args.steps:05d}.pt"
    if not last.exists():
        print(f"{last}: not there yet; --stage transformer makes it")
        return
    if decoder.exists():
        state = torch.load(decoder, weights_only=True)
        vae.decoder.load_state_dict(state["model"])
        trained = {
            "steps": state["step"],
            "mse_every_50_steps": every_50(state["curve"], 6),
            "held_out_db": round(reconstruction(vae, min(16, args.held_out)), 2),
        }
    else:
        trained = None
        print(f"{args.out}: its decoder is untrained; --stage decoder trains it")
    export(args.work, args.out, vae, args.steps)
    note = torch.load(args.work / "transformer.pt", weights_only=True)
    signal, noise = (root.double() for root in roots())
    sigma = noise / (noise + signal)
    network = new_transformer()
    result = {
        "seed": args.seed,
        "exported_step": args.steps,
        "parameters": sum(p.numel() for p in network.parameters()),
        "scaling_factor": vae.config.scaling_factor,
        "sigma_of_training_timesteps": {
            str(q): round(float(sigma.quantile(q)), 4) for q in (0.0, 0.1, 0.5, 0.9)
        },
        "decoder": trained,
        "linear_reconstruction": linear_reconstruction(vae, min(24, args.held_out)),
        "loss_every_50_steps": every_50(note["curve"], 5),
        "held_out": note["held"],
    }
    print(f"wrote {args.out}")
    write_results(parser, args, result)


if __name__ == "__main__":
    run_script(main)
