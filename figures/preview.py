"""What a configuration of SimpleTuner yields, over the bands of `tiny`.

python -m tqd_probe.gradsim --ckpt tiny --out runs/tiny
python -m figures.preview runs/tiny/bands.json    # writes figures/preview.png

The configuration is an example: data sets with offsets set by hand, degraded clips
joining after golden ones.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from figures.helpers import HERE, figure_parser
from tqd_probe.exporting.preview_table import preview_text
from tqd_probe.exporting.registry import find_format
from tqd_probe.plots.preview_figure import preview_figure
from tqd_probe.plots.save import write_figure
from tqd_probe.schedules.band_schedule import BandSchedule

CLIPS = {"golden": 40, "visual_degraded": 120, "motion_degraded": 80}
RUN = {
    "model_family": "wan",
    "model_flavour": "t2v-480p-1.3b-2.1",
    "data_backend_config": "multidatabackend.json",
    "num_train_epochs": 10,
    "flow_schedule_shift": 1,
}
DATA_SETS = {
    "golden": {"repeats": 2},
    "visual_degraded": {"timestep_sampling_offset": 0.8, "start_epoch": 3},
    "motion_degraded": {"timestep_sampling_offset": -0.8, "start_epoch": 3},
}


def write_example(folder: Path) -> Path:
    """Write the configuration, its data sets, and empty files in place of the clips.

    Args:
        folder: Where to write.

    Returns:
        The configuration.
    """
    backends = []
    for name, own in DATA_SETS.items():
        place = folder / f"clips-{name}"
        place.mkdir()
        for number in range(CLIPS[name]):
            (place / f"{number:03}.mp4").touch()
        backend = {"id": name, "dataset_type": "video", "type": "local", **own}
        backends.append({**backend, "instance_data_dir": str(place)})
    (folder / "multidatabackend.json").write_text(json.dumps(backends, indent=1))
    path = folder / "config.json"
    path.write_text(json.dumps(RUN, indent=1))
    return path


def main() -> None:
    """Print the preview and draw it."""
    parser = figure_parser(__file__, __doc__)
    parser.add_argument("schedule", type=Path, help="bands.json of a probe of tiny")
    args = parser.parse_args()
    schedule = BandSchedule.load(args.schedule)
    with tempfile.TemporaryDirectory() as folder:
        path = write_example(Path(folder))
        preview = find_format(path).preview(path, None)
        print(preview_text(preview, schedule))
        print(write_figure(preview_figure(preview, schedule), HERE / "preview.png"))


if __name__ == "__main__":
    main()
