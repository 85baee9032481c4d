"""Each trainer's files, with the keys of its own examples."""

import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting import trainer_lengths as lengths
from tqd_probe.exporting.diffusion_pipe import DiffusionPipe
from tqd_probe.exporting.simpletuner import SimpleTuner


@pytest.fixture
def config(tmp_path):
    for name in ("golden/1.mp4", "golden/2.mp4", "others/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "config"


def test_diffusion_pipe_draws_each_resolution_and_repeat(config):
    (config.parent / "dataset.toml").write_text(
        "num_repeats = 3\nresolutions = [480, 720]\n[[directory]]\npath = 'golden'\n"
        "num_repeats = 2\n[[directory]]\npath = 'others'\nresolutions = [480]\n"
    )
    path = config.with_suffix(".toml")
    path.write_text("dataset = 'dataset.toml'\nepochs = 4\n[model]\ntype = 'wan'\n")
    golden, others = DiffusionPipe().preview(path, None).trained
    assert (golden.data_set, others.data_set) == ("golden", "others")
    assert (golden.share, others.share) == pytest.approx((8 / 11, 3 / 11))
    table = {"dataset": "dataset.toml", "epochs": 4, "max_steps": 10}
    table |= {"micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2}
    assert lengths.diffusion_pipe_length(table, path).draws == 40
    del table["max_steps"]
    assert lengths.diffusion_pipe_length(table, path).draws == 44


def test_musubi_makes_items_of_videos(config):
    (config.parent / "data.toml").write_text(
        "[general]\nbatch_size = 2\nnum_repeats = 2\n"
        "[[datasets]]\nvideo_directory = 'golden'\ntarget_frames = [1, 25, 45]\n"
        "[[datasets]]\nimage_directory = 'others'\nnum_repeats = 5\n"
    )
    found = lengths.musubi_length({"dataset_config": "data.toml"}, "launch 1", config)
    assert [each.draws for each in found.data_sets] == [12, 5]
    assert (found.steps, found.batch, found.draws) == (1600, 2, 3200)
    options = {"dataset_config": "data.toml", "max_train_epochs": 16}
    assert lengths.musubi_length(options, "", config).draws == 16 * 17
    entry = {"video_directory": "golden", "frame_extraction": "slide"}
    assert lengths.musubi_data_set(entry, config).draws is None
    entry |= {"frame_extraction": "uniform", "frame_sample": 4}
    assert lengths.musubi_data_set(entry, config).draws == 8
    missing = lengths.musubi_length({"dataset_config": "x.toml"}, "", config)
    assert missing.text().endswith("x.toml not found here, repeats not read")


def test_simpletuner_goes_through_each_data_set_once_more_than_repeats(config):
    def written(first, second, **options):
        sets = [
            {"id": name, "dataset_type": "video", "instance_data_dir": name, **more}
            for name, more in (("golden", first), ("others", second))
        ]
        (config.parent / "data.json").write_text(json.dumps(sets))
        path = config.with_suffix(".json")
        options |= {"data_backend_config": "data.json", "flow_schedule_shift": 1}
        path.write_text(json.dumps({"model_family": "wan"} | options))
        return SimpleTuner().preview(path, None)

    found = written({"repeats": 2}, {}, num_train_epochs=3, max_train_steps=0)
    assert [each.share for each in found.trained] == pytest.approx([6 / 7, 1 / 7])
    assert found.lengths == [
        "3 epochs; an epoch of 7 draws: golden 2 clips x 3, others 1 clip x 1"
    ]
    assert found.traps == []
    found = written(
        {"probability": 0.5}, {"probability": 0.5}, data_backend_sampling="uniform"
    )
    assert [each.share for each in found.trained] == pytest.approx([2 / 3, 1 / 3])
    assert found.traps[0].startswith("probability: decides the order inside an epoch")
    with pytest.raises(InputError, match="repeats: -1 must be 0 or above"):
        written({"repeats": -1}, {})


def test_the_others(config):
    (config.parent / "rows.csv").write_text("video,prompt\n1.mp4,a\n2.mp4,b\n")
    options = {"dataset_metadata_path": "rows.csv", "dataset_repeat": 100}
    assert lengths.diffsynth_length(options, "", config).draws == 200
    process = {
        "train": {"steps": 500, "batch_size": 2, "gradient_accumulation": 4},
        "datasets": [
            {"folder_path": "golden", "num_repeats": 3},
            {"folder_path": "others"},
        ],
    }
    found = lengths.ai_toolkit_length(process, "", config)
    assert (found.draws, found.shares) == (4000, pytest.approx([6 / 7, 1 / 7]))
    table = {"optimization": {"steps": 2000, "batch_size": 2}}
    assert lengths.ltx2_length(table, config).draws == 4000
    table = {"step_scheduler": {"num_epochs": 10, "global_batch_size": 8}}
    assert lengths.nemo_length(table, config).text() == "10 epochs"
    training = {"loop": {"max_train_steps": 30}, "data": {"train_batch_size": 2}}
    assert lengths.fastvideo_length(training, config).draws == 60
