import json
from pathlib import Path

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.diffusion_pipe import DiffusionPipe
from tqd_probe.exporting.musubi import Musubi
from tqd_probe.exporting.not_modelled import (
    Activity,
    activity_texts,
    diffusion_pipe_left_out,
    epoch_share,
    musubi_left_out,
    simpletuner_left_out,
)
from tqd_probe.exporting.preview_table import preview_text
from tqd_probe.exporting.simpletuner import SimpleTuner

CONFIG = Path("config.json")


def written(folder, settings, **run):
    """A run of SimpleTuner with data sets a of 4 videos and b of 2."""
    backends = []
    for name, clips in (("a", 4), ("b", 2)):
        (folder / name).mkdir()
        for number in range(clips):
            (folder / name / f"{number}.mp4").touch()
        backends.append(
            {"id": name, "dataset_type": "video", "instance_data_dir": name}
            | settings.get(name, {})
        )
    (folder / "data.json").write_text(json.dumps(backends))
    (folder / "config.json").write_text(
        json.dumps({"model_family": "wan", "data_backend_config": "data.json", **run})
    )
    return folder / "config.json"


def drawn_by_the_published_rule(settings, epochs):
    """Draws of each data set, epoch by epoch: `runtime/schedule.py`, anew."""
    found = {"a": 0, "b": 0}
    for epoch in range(1, epochs + 1):
        for name, clips in (("a", 4), ("b", 2)):
            own = settings.get(name, {})
            end = own.get("end_epoch")
            if epoch >= own.get("start_epoch", 1) and (end is None or epoch <= end):
                found[name] += clips * (1 + own.get("repeats", 0))
    return {name: count / sum(found.values()) for name, count in found.items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"b": {"start_epoch": 3}},
        {"a": {"end_epoch": 4}, "b": {"start_epoch": 5, "repeats": 3}},
        {"a": {"start_epoch": 1, "end_epoch": 99}, "b": {"end_epoch": 1}},
    ],
)
def test_data_sets_that_join_and_leave_have_the_share_of_their_epochs(
    tmp_path, settings
):
    path = written(tmp_path, settings, num_train_epochs=10)
    found = SimpleTuner().preview(path, None)
    shares = {each.data_set: each.share for each in found.trained}
    assert shares == pytest.approx(drawn_by_the_published_rule(settings, 10))
    assert not any("start_epoch" in text for text in found.not_modelled)


def test_the_length_says_in_which_epochs(tmp_path):
    path = written(tmp_path, {"b": {"start_epoch": 6}}, num_train_epochs=10)
    (text,) = SimpleTuner().preview(path, None).lengths
    assert text == (
        "10 epochs; an epoch of 5 draws on average: a 4 clips x 1,"
        " b 2 clips x 0.5 (from epoch 6)"
    )


def test_steps_are_named_as_not_modelled(tmp_path):
    settings = {"a": {"end_step": 300}, "b": {"start_step": 300}}
    path = written(tmp_path, settings, num_train_epochs=10)
    found = SimpleTuner().preview(path, None)
    assert [each.share for each in found.trained] == pytest.approx([2 / 3, 1 / 3])
    said = [text for text in found.not_modelled if "start_step" in text]
    assert [text[0] for text in said] == ["a", "b"]
    assert "\nnot modelled: a: start_epoch, start_step" in preview_text(found, None)


def test_epochs_are_not_modelled_where_steps_end_the_run(tmp_path):
    path = written(tmp_path, {"b": {"start_epoch": 3}}, max_train_steps=100)
    found = SimpleTuner().preview(path, None)
    assert found.not_modelled[0].startswith("b: start_epoch")


def test_data_sets_that_never_join_are_traps():
    backends = [{"id": "a"}, {"id": "b", "start_epoch": 11}]
    (trap,), unknown = activity_texts(backends, 10, None, CONFIG)
    assert trap.startswith("b: is never drawn of: its start_epoch 11")
    assert unknown == []
    (refused, *_), _ = activity_texts([{"start_step": 5}], 10, None, CONFIG)
    assert "no data set is drawn of from the start" in refused
    (trap,), _ = activity_texts([{}, {"id": "c", "start_step": 101}], 9, 100, CONFIG)
    assert trap.startswith("c: is never drawn of")


def test_activities_are_read_as_the_trainer_reads_them():
    given = {"start_epoch": -2, "end_epoch": 0, "start_step": "7", "end_step": None}
    assert Activity.of(given, CONFIG) == Activity(1, 7, None, None)
    assert Activity(3, 0, 5, None).epochs(10) == 3
    assert Activity(3, 0, 50, None).epochs(10) == 8
    assert epoch_share(Activity(3), 4, None) == 0.5
    assert epoch_share(Activity(3), 4, 100) == 1.0
    with pytest.raises(InputError, match=r"config.json: start_epoch: 'x' is not a num"):
        Activity.of({"start_epoch": "x"}, CONFIG)


def test_what_trainers_leave_out_is_named():
    backends = [
        {"id": "a", "dataset_type": "video", "video": {"num_frames": 49}},
        {"id": "b", "dataset_type": "video"},
        {"id": "c", "dataset_type": "image"},
    ]
    assert [text.split(" (")[0] for text in simpletuner_left_out(backends, CONFIG)] == [
        "videos of a with fewer than 49 frames",
        "videos of b with fewer than 125 frames",
    ]
    data = {"frame_buckets": [1, 33, 65]}
    assert diffusion_pipe_left_out(data, [{}, {}]) == [
        "videos shorter than 33 frames at the model's rate and clips without a caption"
        " are left out of training, and counted here"
    ]
    (images,) = diffusion_pipe_left_out({"skip_empty_caption": False}, [{}])
    assert images.startswith("videos (frame_buckets holds that of images alone) are")
    assert musubi_left_out([{"target_frames": [1, 25]}, {}]) == [
        "a video shorter than one of target_frames [1, 25] gives no item of that length"
    ]


def test_it_is_said_where_it_weighs_data_sets(tmp_path):
    two = "[[directory]]\npath = 'a'\n[[directory]]\npath = 'b'\n"
    (tmp_path / "d.toml").write_text(f"frame_buckets = [1, 33]\n{two}")
    path = tmp_path / "train.toml"
    path.write_text("dataset = 'd.toml'\n[model]\ntype = 'wan'\n")
    (said,) = DiffusionPipe().preview(path, None).not_modelled
    assert "shorter than 33 frames" in said
    (tmp_path / "d.toml").write_text("[[directory]]\npath = 'a'\n")
    assert DiffusionPipe().preview(path, None).not_modelled == []
    sets = "[[datasets]]\nvideo_directory = 'a'\ntarget_frames = [25]\n"
    (tmp_path / "m.toml").write_text(sets + sets.replace("'a'", "'b'"))
    path.write_text(
        "dataset_config = 'm.toml'\nnetwork_module = 'networks.lora_wan'\n"
        "timestep_sampling = 'shift'\n"
    )
    (said,) = Musubi().preview(path, None).not_modelled
    assert "target_frames [25]" in said
