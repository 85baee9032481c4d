"""Does the cosine fall with severity? All five severities of some degradations.

Beside every severity stands how far it moves clips in the latents, so that axes can be
compared at equal distance (`--match-severity` chooses by it), and the two controls:
the clip unchanged and the clip backwards.

    python -m analyses.tiny.severity_curves --ckpt tiny --run DIR
    python -m figures.severity_curves
"""

from __future__ import annotations

from pathlib import Path

from scipy.stats import spearmanr

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.source import open_clips
from tqd_probe.models.clip_encoder import ClipEncoder, default_cache
from tqd_probe.models.load import load_model
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.probing.matched_severity import CLIPS, latent_distances
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings


def main() -> None:
    """Probe all severities, measure distances, write both."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--names", default="blur,noise,freeze")
    parser.add_argument("--levels", default="0.1,0.3,0.6,0.9")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument(
        "--run", type=Path, required=True, help="run directory; resumes"
    )
    args = parser.parse_args()
    names = args.names.split(",")
    every = [f"{name}:{k}" for name in names for k in range(1, 6)]
    settings = ProbeRunSettings(
        ckpt=args.ckpt,
        num_clips=args.clips,
        draws=args.draws,
        metric="raw",
        levels=args.levels,
        degradations=",".join([*every, "identity:1", "reverse:1"]),
        out=args.run,
    )
    run_probe(settings)
    run = FinishedProbe(args.run)
    model = load_model(args.ckpt, "cpu", "fp32")
    encoder = ClipEncoder(model, clip_shape(settings, model), 0, default_cache())
    clips = open_clips("synthetic", CLIPS, 0).golden
    distances = {
        name: latent_distances(encoder, clips, name) for name in (*names, "reverse")
    }
    levels = run.levels
    falls = {}
    for name in names:
        for index, sigma in enumerate(levels):
            curve = [run.cosine(f"{name}:{k}")[index] for k in range(1, 6)]
            known = run.resolved[index] and None not in curve
            rho = (
                round(float(spearmanr(range(5), curve).statistic), 6) if known else None
            )
            falls[f"{name} at {sigma}"] = rho
            print(f"{name:10} sigma {sigma:.2f}  {curve}  Spearman {rho}")
    for name in ("identity:1", "reverse:1"):
        print(name, run.cosine(name), run.compared[name].cosine_ci)
    keep = ("cosine", "cosine_ci", "norm_ratio")
    write_results(
        parser,
        args,
        {
            "levels": levels,
            "resolved": run.resolved,
            "latent_distance": distances,
            "spearman": falls,
            "subjects": {
                name: {key: getattr(curves, key) for key in keep}
                for name, curves in run.compared.items()
                if curves.kind == "degradation"
            },
        },
    )


if __name__ == "__main__":
    run_script(main)
