import json

import numpy as np
import pytest
import trainer_rules
from export_cases import by_class, export_case
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.level_distribution import logit_normal
from tqd_probe.exporting.writers.simpletuner import best_offset

BACKENDS = [
    {
        "id": "clips",
        "type": "local",
        "dataset_type": "video",
        "instance_data_dir": "datasets/clips",
        "resolution": 480,
        "caption_strategy": "csv",
    },
    {"id": "text", "dataset_type": "text_embeds", "default": True, "type": "local"},
]


def configuration(folder, backends=BACKENDS, **options):
    (folder / "multidatabackend.json").write_text(json.dumps(backends))
    path = folder / "config.json"
    config = {
        "model_family": "wan",
        "data_backend_config": "multidatabackend.json",
        "learning_rate": 1e-4,
    }
    path.write_text(json.dumps(config | options))
    return path


DISTANCES = {  # of visual and motion degraded, by shift
    1.0: [0.171, 0.205],
    3.0: [0.077, 0.307],
    5.0: [0.039, 0.325],
}


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_data_sets_have_offsets_of_their_own(tmp_path, shift):
    case = export_case(tmp_path)
    done = case.export(
        "simpletuner", configuration(tmp_path, flow_schedule_shift=shift)
    )
    classes = by_class(done)
    written = json.loads((tmp_path / "out" / "multidatabackend.json").read_text())
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["data_backend_sampling"] == "uniform"
    assert config["learning_rate"] == 1e-4
    assert written[-1] == BACKENDS[1]
    offsets = {}
    for entry, (name, each) in zip(written, classes.items()):
        assert entry["id"] == f"clips-{name}"
        assert entry["resolution"] == 480
        assert entry["repeats"] == 0  # every clip of the manifest once
        assert entry["probability"] == pytest.approx(each.plan.share, abs=1e-6)
        offsets[name] = entry["timestep_sampling_offset"]
        rng = np.random.default_rng(7)
        draws = trainer_rules.simpletuner(rng, offsets[name], shift=shift)
        assert distance(draws, each.realised) < CLOSE
    assert offsets["motion_degraded"] < offsets["golden"] == 0
    assert offsets["golden"] < offsets["visual_degraded"]
    assert classes["golden"].distance < 1e-12
    # what one logit-normal cannot do; docs/export.md
    found = [classes[name].distance for name in ("visual_degraded", "motion_degraded")]
    assert found == pytest.approx(DISTANCES[shift], abs=0.005)


def test_the_offset_is_the_closest(tmp_path):
    wanted = logit_normal(1.6 * 0.7, 1.6).shifted(3.0)
    assert best_offset(wanted, 1.6, 3.0) == pytest.approx(0.7, abs=0.002)


def test_clips_are_linked_with_their_captions(tmp_path):
    export_case(tmp_path).export("simpletuner", configuration(tmp_path))
    folder = tmp_path / "out" / "data" / "visual_degraded"
    names = {path.name for path in folder.iterdir()}
    stems = [f"visual_degraded{k}" for k in range(3)]
    assert names == {f"{s}.mp4" for s in stems} | {f"{s}.txt" for s in stems}
    assert (folder / f"{stems[1]}.mp4").resolve() == tmp_path / f"{stems[1]}.mp4"
    text = (folder / f"{stems[1]}.txt").read_text()
    assert text == "visual_degraded, number 1\n"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"flow_use_uniform_schedule": True}, "the uniform schedule ignores"),
        ({"flow_use_beta_schedule": True}, "the beta schedule ignores"),
        ({"flow_custom_timesteps": "900"}, "the custom schedule ignores"),
    ],
)
def test_schedules_that_ignore_offsets_are_refused(tmp_path, options, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("simpletuner", configuration(tmp_path, **options))


def test_only_one_data_set_without_an_offset_is_split(tmp_path):
    case = export_case(tmp_path)
    two = [BACKENDS[0], BACKENDS[0] | {"id": "more"}, BACKENDS[1]]
    with pytest.raises(InputError, match=r"several data sets \(clips, more\)"):
        case.export("simpletuner", configuration(tmp_path, two))
    one = [BACKENDS[0] | {"timestep_sampling_offset": 0.5}]
    with pytest.raises(InputError, match="take it off the data set first"):
        case.export("simpletuner", configuration(tmp_path, one))
    config = configuration(tmp_path, flow_sigmoid_scale=0)
    with pytest.raises(InputError, match=r"config.json: flow_sigmoid_scale: 0 must be"):
        case.export("simpletuner", config)
    assert not (tmp_path / "out").exists()


def test_clips_take_the_place_of_a_data_set_of_the_hub(tmp_path):
    # examples/multidatabackend-small-video-480p.json of SimpleTuner (bc8e6ab), as all
    # of its data sets of video: type huggingface reads dataset_name and no folder
    hub = BACKENDS[0] | {
        "type": "huggingface",
        "dataset_name": "sayakpaul/video-dataset-disney-organized",
        "metadata_backend": "huggingface",
        "caption_strategy": "huggingface",
        "huggingface": {"video_column": "video", "caption_column": "prompt"},
        "aws_bucket_name": "bucket",
    }
    config = configuration(tmp_path, [hub, BACKENDS[1]])
    export_case(tmp_path).export("simpletuner", config)
    written = json.loads((tmp_path / "out" / "multidatabackend.json").read_text())
    for entry, name in zip(written, ("golden", "visual_degraded", "motion_degraded")):
        del entry["timestep_sampling_offset"], entry["probability"]
        assert entry == {
            "id": f"clips-{name}",
            "type": "local",
            "dataset_type": "video",
            "metadata_backend": "discovery",
            "instance_data_dir": str(tmp_path / "out" / "data" / name),
            "caption_strategy": "textfile",
            "cache_dir_vae": str(tmp_path / "out" / "cache" / name),
            "resolution": 480,
            "repeats": 0,
        }
