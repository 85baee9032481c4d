"""What all tests share; made once per session, by whichever worker needs it first.

Torch and diffusers are imported inside: the process that hands out tests needs neither.
"""

import csv
import gc
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
from band_schedules import VERSION_1
from built_once import BuiltOnce, shared_folder

# Before torch is loaded. Workers share the cores, one thread each; it is also what the
# package sets for networks this small, so that all runs round alike.
os.environ["OMP_NUM_THREADS"] = "1"

SCORES = {
    "golden": (0.8, 0.8),
    "visual_degraded": (0.9, 0.3),
    "motion_degraded": (0.2, 0.7),
}


@pytest.fixture
def wan():
    """A Wan transformer with random weights and every kind of parameter."""
    from small_wan import small_wan

    return small_wan()


@pytest.fixture
def wan_batch():
    """Eight clips: noisy latents, levels, text, targets."""
    from small_wan import small_batch

    return small_batch()


@pytest.fixture
def wan_layout(wan):
    from tqd_probe.gradients.layout import make_layout

    return make_layout(wan, {"all": [name for name, _ in wan.named_parameters()]})


def pytest_configure(config):
    """Hide GPUs from all tests but those marked `gpu`, and from what they start.

    Workers and child processes inherit it. Torch is not loaded yet.
    """
    if not asks_for_gpu(config.option.markexpr):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def asks_for_gpu(expression):
    """Whether ``-m`` selects tests marked `gpu` by name."""
    return re.search(r"(?<!not )\bgpu\b", expression) is not None


def pytest_xdist_auto_num_workers(config):
    """A worker per core, four at most; none for a single test.

    Each worker loads torch, diffusers and transformers: ten seconds of a core.
    """
    if any("::" in argument for argument in config.args):
        return 0
    return min(4, len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(config, items):
    """Start long tests first, so that no worker is left with one at the end."""
    if not asks_for_gpu(config.option.markexpr):
        skip = pytest.mark.skip(reason="on a GPU: python -m pytest -m gpu")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish():
    """Spare garbage collection the imported libraries: a third of a second each."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """Folders that all workers share; none is changed in place."""
    shared = BuiltOnce(shared_folder(tmp_path_factory))
    yield shared
    shared.check()


@pytest.fixture(autouse=True)
def few_figures(request, monkeypatch):
    """Figures are made, but only those that a test names are drawn to pixels.

    Drawing takes three times as long as a small probe. ``@pytest.mark.rendered`` alone
    draws all of a test, ``@pytest.mark.rendered("similarity_heatmap")`` some.
    """
    from matplotlib.figure import Figure

    mark = request.node.get_closest_marker("rendered")
    draw = Figure.savefig

    def savefig(self, path, **options):
        if mark and any(name in str(path) for name in mark.args or [""]):
            draw(self, path, **options)
        else:
            Path(path).write_text("not drawn in this test")

    monkeypatch.setattr(Figure, "savefig", savefig)


@pytest.fixture(autouse=True)
def short_prediction(monkeypatch):
    """A probe predicts its cost and time from one trial of a kind instead of two.

    Not the shared runs, which are made before; `test_cost.py` looks at one of them.
    """
    wall_time = sys.modules.get("tqd_probe.probing.wall_time")
    if wall_time:  # loading it would cost a test without a probe more
        monkeypatch.setattr(wall_time, "TRIALS", 1)


@pytest.fixture(scope="session")
def checkpoint(built_once):
    """Folder of a pipeline by its name in `PIPELINES`; do not change it."""

    def get(name):
        from pipelines import build

        return built_once.get(f"ckpt-{name}", lambda folder: build(name, folder))

    return get


@pytest.fixture(scope="session")
def pipeline(checkpoint):
    """A complete small Wan pipeline with random weights; native 5 x 32 x 32."""
    return checkpoint("wan")


@pytest.fixture
def copied(pipeline, tmp_path):
    """A copy of the pipeline that a test may damage."""
    return Path(shutil.copytree(pipeline, tmp_path / "ckpt"))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """The cache of latents and captions, shared by all workers as by all runs."""
    folder = shared_folder(tmp_path_factory) / "cache"
    os.environ["TQD_PROBE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def folder_of_clips(built_once):
    """Six real mp4 files with captions, 14 frames at 16 fps, 48 x 40."""
    return built_once.get("videos", write_folder_of_clips)


def write_folder_of_clips(folder):
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.synthetic import synthetic_clip
    from tqd_probe.clips.video import write_video

    for index in range(6):
        clip = synthetic_clip(index, 5)
        write_video(folder / f"c{index}.mp4", clip.read(ClipShape(14, 48, 40, 16)), 16)
        (folder / f"c{index}.txt").write_text(clip.caption)


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
            **VERSION_1,
            "noise": {
                "axis": "sigma",
                "shift": 1.0,
                "levels": [0.1, 0.5, 0.9],
                "logsnr": [4.4, 0.0, -4.4],
            },
            "golden": {
                "clips": 24,
                "draws": 2,
                "snr": [0.4, 0.3, 0.2],
                "resolved": [True] * 3,
            },
            "degradations_detail": {},
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


@pytest.fixture
def schedule_with_density(schedule):
    """The same in version 2, with a density of levels measured on golden clips."""
    from tqd_probe.schedules.band_schedule import BandSchedule

    value = schedule.to_json() | {
        "version": 2,
        "density": {"of": "golden_signal", "values": [4 / 2.3, 2 / 2.3, 1 / 2.3]},
    }
    value["criterion"] |= {"delta": 0.03, "metric": "adam"}
    for entries in (value["classes"], value["degradations_detail"]):
        for entry in entries.values():
            entry["status"] = "measured"
    return BandSchedule.model_validate(value)


@pytest.fixture(scope="session")
def manifest(built_once):
    """Nine real videos of three classes with scores."""
    return built_once.get("pool", write_pool) / "clips.csv"


def write_pool(folder):
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.synthetic import synthetic_clip
    from tqd_probe.clips.video import write_video

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


@pytest.fixture(scope="session")
def straight(pipeline, manifest, built_once):
    """A run of seven steps that nothing interrupts; do not change it."""

    def run(folder):
        from training_runs import options

        from tqd_probe import train

        train(**options(pipeline, manifest, folder / "run"), quiet=True)

    return built_once.get("straight", run) / "run"


@pytest.fixture(scope="session")
def probe_run(pipeline, built_once):
    """A finished exact probe with the options of `probe_runs.SMALL`."""
    return built_once.get("probe", lambda folder: probe(pipeline, folder)) / "run"


@pytest.fixture(scope="session")
def sketched_run(pipeline, built_once):
    """The same with sketches of 8192 and a self-check."""
    extra = "--sketch 8192 --self-check"
    build = partial(probe, pipeline, extra=extra)
    return built_once.get("sketched", build) / "run"


def probe(pipeline, folder, extra=""):
    from probe_runs import arguments

    from tqd_probe import gradsim

    assert gradsim.main(arguments(pipeline, folder / "run", extra)) == 0
