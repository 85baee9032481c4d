"""Train the `tiny` checkpoint: a complete diffusers WanPipeline under 10 MB.

From one seed, on synthetic clips alone: the encoder of the autoencoder is fitted in
closed form (`fit_encoder.py`), its decoder and the transformer with its text encoder
are trained, side by side if you like; both resume. The autoencoder sees golden clips,
the transformer those of `pool.py`. The result is written with `save_pretrained`
and loads with `WanPipeline.from_pretrained` and no code of this project.

    python -m analyses.tiny.train --work /tmp/tiny --stage decoder
    python -m analyses.tiny.train --work /tmp/tiny --stage transformer --out OUT
    python -m figures.tiny_training        # draws the curves

    python -m analyses.tiny.train --work /tmp/tiny --stage wide --steps 1000

trains a transformer one and a half times as wide on the same latents, for studies that
carry a schedule from a small model to a larger one; only its step files are written.
``--stage large`` trains one of 18 million parameters, at a third of the rate, for
studies of whether what holds on a small network holds on a larger one.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline
from transformers import UMT5EncoderModel

from analyses.results_file import run_script, study_parser, write_results
from analyses.tiny.fit_encoder import fit_encoder
from analyses.tiny.parts import (
    HEADS,
    LARGE_HEADS,
    TEXT_LENGTH,
    TRAIN_SEED,
    WIDE_HEADS,
    Z,
    new_text_encoder,
    new_tokenizer,
    new_transformer,
    new_vae,
)
from analyses.tiny.pool import pool_clip
from analyses.tiny.step_files import prefix, step_file
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
from tqd_probe.core.noise import shift_sigma
from tqd_probe.core.rng import stream

TRAIN_SHIFT = 5.0  # of the training levels
STAGES = ("decoder", "transformer", "wide", "large")
HEADS_OF = {"wide": WIDE_HEADS, "large": LARGE_HEADS}
RATE, LARGE_RATE = 1.5e-3, 5e-4
SAVED_EVERY = 100  # steps


def normalisation(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose `latents_mean` and `latents_std` of the autoencoder.

    The channels are principal components, so they keep their order of size: one scale
    for all. It puts objects (deviation 3 to 1) at high noise levels and texture (0.4 to
    0.1) at low ones, as in pixels. Dividing each channel by its own deviation, as Wan
    does with learned channels of like size, gives texture the weight of objects.
    """
    mean = raw.mean((0, 2, 3, 4))
    std = raw.var((0, 2, 3, 4)).mean().sqrt() / LATENT_SCALE
    return mean, std.expand_as(mean).clone()


def train_decoder(
    work: Path, vae: AutoencoderKLWan, latents: torch.Tensor, args
) -> None:
    """Train the decoder on pairs of latents and clips; the encoder stays fixed."""
    torch.manual_seed(args.seed)
    scale = latents.std((0, 2, 3, 4))[None, :, None, None, None]
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.99))
    path, curve, start = work / "decoder.pt", [], 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, curve = state["step"], state["curve"]
    steps, count, began = args.decoder_steps, min(2048, len(latents)), time.time()
    videos = load_videos(TRAIN_SEED, count) if start < steps else None
    for step in range(start, steps):
        rng = stream(args.seed, "decoder-batch", step)
        rows = rng.integers(0, count, 4)
        x = torch.stack([to_model(videos[row].numpy()) for row in rows])
        z = latents[rows]
        noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
        first = int(rng.integers(0, 3))  # the decoder is causal: cut latents in time
        if first:
            x, z, noise = x[:, :, 4 * first - 3 :], z[:, :, first:], noise[:, :, first:]
            x = x[:, :, 3:]
        error = vae.decode(z + 0.05 * scale * noise).sample - x
        loss = (error**2).mean() + 0.1 * (error**2 + 1e-3).sqrt().mean()
        descend(optimizer, loss, 2e-3 * cosine(step, steps, 100, 0.02))
        curve.append([step, float((error.detach() ** 2).mean())])
        if (step + 1) % 100 == 0 or step + 1 == steps:
            psnr = 10 * math.log10(4 / np.mean([e for _, e in curve[-100:]]))
            spent = time.time() - began
            print(f"decoder {step + 1} psnr {psnr:.2f} dB {spent:.0f} s", flush=True)
            state = {"model": vae.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "step": step + 1, "curve": curve}, path)


def round_to_half(vae: AutoencoderKLWan) -> None:
    """Give the weights the values they have in the file, which holds half precision."""
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.copy_(parameter.half())


def noise_levels(rng: np.random.Generator, batch: int) -> np.ndarray:
    """Draw sigma for a batch: stratified over (0, 1), then shifted as Wan's training.

    Most draws are at high levels, where structure and motion are decided; low ones,
    where the target is noise seen at a twentieth of its size, are learned last.
    """
    u = (np.arange(batch) + rng.random(batch)) / batch
    return rng.permutation(shift_sigma(u, TRAIN_SHIFT))


def embed(
    encoder: UMT5EncoderModel, ids: torch.Tensor, mask: torch.Tensor, length: int
) -> torch.Tensor:
    """Encode captions as WanPipeline does: zeros after the last token, to a length."""
    hidden = encoder(ids, mask).last_hidden_state * mask[..., None]
    return torch.nn.functional.pad(hidden, (0, 0, 0, length - hidden.shape[1]))


@torch.no_grad()
def held_out_curve(model, encoder, latents, ids, mask, mean_latent) -> dict:
    """Loss per noise level on held-out golden clips, beside three baselines.

    `mean` predicts the mean of the target; `linear` is the best multiple of the
    noisy latent plus the mean (one coefficient per level, fitted on these clips).
    """
    rows = {"sigma": LEVELS, "model": [], "mean": [], "linear": []}
    text = embed(encoder, ids, mask, TEXT_LENGTH)
    for level, sigma in enumerate(LEVELS):
        eps = torch.from_numpy(
            stream(HELD_OUT_SEED, "held-out", level).standard_normal(
                latents.shape, dtype=np.float32
            )
        )
        x, target = (1 - sigma) * latents + sigma * eps, eps - latents
        t = torch.full((len(x),), 1000 * sigma)
        pred = torch.cat(
            [
                model(a, b, c).sample
                for a, b, c in zip(x.split(32), t.split(32), text.split(32))
            ]
        )
        centred_x = x - (1 - sigma) * mean_latent
        centred_t = target + mean_latent
        slope = (centred_x * centred_t).sum() / (centred_x**2).sum()
        rows["model"].append(float(((pred - target) ** 2).mean()))
        rows["mean"].append(float((centred_t**2).mean()))
        rows["linear"].append(float(((slope * centred_x - centred_t) ** 2).mean()))
    return rows


def train_transformer(
    work: Path,
    latents: torch.Tensor,
    captions: list[str],
    held: tuple,
    args,
    heads: int = HEADS,
) -> None:
    """Train transformer and text encoder by flow matching; keeps checkpoints."""
    torch.manual_seed(args.seed + 1)
    tokenizer = new_tokenizer()
    model, encoder = new_transformer(heads), new_text_encoder(len(tokenizer))
    batch, warm = 32, 200
    tokens = tokenizer(
        captions, padding="max_length", max_length=TEXT_LENGTH, return_tensors="pt"
    )
    empty = tokenizer(
        [""], padding="max_length", max_length=TEXT_LENGTH, return_tensors="pt"
    )
    ids, mask = tokens.input_ids, tokens.attention_mask
    held_latents, held_captions = held
    held_tokens = tokenizer(
        held_captions, padding="max_length", max_length=TEXT_LENGTH, return_tensors="pt"
    )
    mean_latent = latents.mean((0, 2, 3, 4))[None, :, None, None, None]
    parameters = [*model.parameters(), *encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.98))
    path = work / f"{prefix(heads)}transformer.pt"
    curve: list[list[float]] = []
    held_curves: dict[str, dict] = {}
    start = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        encoder.load_state_dict(state["encoder"])
        optimizer.load_state_dict(state["optimizer"])
        start, curve, held_curves = state["step"], state["curve"], state["held"]
    began = time.time()
    for step in range(start, args.steps):
        rng = stream(args.seed, "transformer-batch", step)
        rows = torch.from_numpy(rng.integers(0, len(latents), batch))
        x0 = latents[rows]
        eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        sigma = torch.from_numpy(noise_levels(rng, batch)).float()
        some_ids, some_mask = ids[rows].clone(), mask[rows].clone()
        drop = torch.from_numpy(rng.random(batch) < 0.1)
        some_ids[drop], some_mask[drop] = empty.input_ids, empty.attention_mask
        # The pipeline pads captions to 512 by default; the padding must not matter.
        length = int(rng.choice([32] * 9 + [64, 128, 512]))
        text = embed(encoder, some_ids, some_mask, length)
        s = sigma[:, None, None, None, None]
        pred = model((1 - s) * x0 + s * eps, 1000 * sigma, text).sample
        loss = ((pred - (eps - x0)) ** 2).mean()
        rate = args.lr * trapezoid(step, args.zero_rate, warm, args.decay)
        descend(optimizer, loss, rate)
        curve.append([step, float(loss.detach())])
        evaluated = (step + 1) % 500 == 0 or step + 1 == args.steps
        if evaluated:
            held_curves[str(step + 1)] = held_out_curve(
                model,
                encoder,
                held_latents,
                held_tokens.input_ids,
                held_tokens.attention_mask,
                mean_latent,
            )
            mean = float(np.mean(held_curves[str(step + 1)]["model"]))
            print(
                f"step {step + 1} held-out {mean:.4f} {time.time() - began:.0f} s",
                flush=True,
            )
        if evaluated or (step + 1) % SAVED_EVERY == 0:
            state = {"model": model.state_dict(), "encoder": encoder.state_dict()}
            if evaluated:
                torch.save(state, step_file(work, step + 1, heads))
            state |= {"optimizer": optimizer.state_dict(), "step": step + 1}
            part = path.with_suffix(".part")
            torch.save({**state, "curve": curve, "held": held_curves}, part)
            part.replace(path)
    log = work / f"{prefix(heads)}transformer_curve.json"
    log.write_text(json.dumps([curve, held_curves]))


def export(work: Path, out: Path, step: int, mean: list, std: list) -> None:
    """Write the pipeline directory from one training checkpoint."""
    vae = new_vae(mean, std)
    vae.load_state_dict(torch.load(work / "decoder.pt", weights_only=True)["model"])
    vae.half()  # `from_pretrained` brings the values back to float32
    tokenizer = new_tokenizer()
    model, encoder = new_transformer(), new_text_encoder(len(tokenizer))
    state = torch.load(step_file(work, step), weights_only=True)
    model.load_state_dict(state["model"])
    encoder.load_state_dict(state["encoder"])
    pipe = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder.eval(),
        vae=vae.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        transformer=model.eval(),
    )
    pipe.save_pretrained(out, safe_serialization=True)
    native = {"num_frames": 17, "height": 64, "width": 64, "fps": 16}
    write_json(out / "native_clip.json", native)


def main() -> None:
    """Run the stages."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True, help="working folder")
    parser.add_argument(
        "--out",
        type=Path,
        help="pipeline directory to write, which the decoder is needed for; without it"
        " there are step files alone. tqd_probe/models/tiny is what is shipped",
    )
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--decoder-steps", type=int, default=2800)
    parser.add_argument("--clips", type=int, default=4096, help="training clips")
    parser.add_argument("--steps", type=int, default=3500, help="transformer steps")
    parser.add_argument(
        "--zero-rate", type=int, default=4000, help="step at which the rate is zero"
    )
    parser.add_argument(
        "--decay", type=int, default=1000, help="steps before it that the rate falls in"
    )
    parser.add_argument(
        "--lr", type=float, help=f"peak rate (default: {RATE}, large {LARGE_RATE})"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.lr is None:
        args.lr = LARGE_RATE if args.stage == "large" else RATE
    if args.out and args.stage != "transformer":
        parser.error(f"--out {args.out}: --stage {args.stage} writes no pipeline")
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    vae = new_vae([0.0] * Z, [1.0] * Z).eval()
    fit_encoder(vae, load_videos(TRAIN_SEED, 400))
    raw, _ = encode_set(
        args.work / "golden.pt", vae, TRAIN_SEED, args.clips, golden_clip
    )
    if args.stage == "decoder":
        train_decoder(args.work, vae, raw, args)
        return
    mean, std = normalisation(raw)
    shift, scale = (v[None, :, None, None, None] for v in (mean, std))
    round_to_half(vae)
    pool, captions = encode_set(
        args.work / "pool.pt", vae, TRAIN_SEED, args.clips, pool_clip
    )
    raw_held, held_captions = encode_set(
        args.work / "held-out.pt", vae, HELD_OUT_SEED, 256, golden_clip
    )
    held = ((raw_held - shift) / scale, held_captions)
    heads = HEADS_OF.get(args.stage, HEADS)
    train_transformer(args.work, (pool - shift) / scale, captions, held, args, heads)
    out = args.out
    if out is None:
        return
    if not (args.work / "decoder.pt").exists():
        parser.error(f"--work {args.work}: no decoder yet; --stage decoder trains it")
    export(args.work, out, args.steps, mean.tolist(), std.tolist())
    curve, held_curves = json.loads((args.work / "transformer_curve.json").read_text())
    vae_curve = torch.load(args.work / "decoder.pt", weights_only=True)["curve"]
    sizes = {
        p.name: sum(f.stat().st_size for f in p.rglob("*") if f.is_file())
        for p in out.iterdir()
        if p.is_dir()
    }
    result = {
        "seed": args.seed,
        "exported_step": args.steps,
        "decoder_mse_every_50_steps": every_50(vae_curve, 6),
        "loss_every_50_steps": every_50(curve, 5),
        "held_out": held_curves,
        "bytes": sizes,
    }
    print(f"wrote {out} ({sum(sizes.values()) / 1e6:.2f} MB)")
    write_results(parser, args, result)


if __name__ == "__main__":
    run_script(main)
