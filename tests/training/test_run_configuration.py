import pytest
from training_runs import options

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import write_json
from tqd_probe.training.run_configuration import (
    check_directory,
    describe_training,
    reserve_directory,
)
from tqd_probe.training.settings import TrainRunSettings

INPUTS = {"checkpoint": "a", "encoders": "b", "schedule": None}


def settings(out, **changed):
    return TrainRunSettings(**options("tiny", "synthetic:4", out, **changed))


def write(chosen, inputs=INPUTS):
    description = describe_training(chosen, inputs).model_dump()
    write_json(chosen.out / "run.json", description)


def test_a_directory_is_kept_for_one_configuration(tmp_path):
    chosen = settings(tmp_path)
    assert check_directory(chosen, describe_training(chosen, INPUTS)) is None
    write(chosen)
    assert check_directory(chosen, describe_training(chosen, INPUTS)) is not None
    changed = settings(tmp_path, lr=2e-3, batch_size=8)
    with pytest.raises(ConfigurationChanged, match="--batch-size was 4, now 8"):
        check_directory(changed, describe_training(changed, INPUTS))
    with pytest.raises(ConfigurationChanged, match="checkpoint differ"):
        check_directory(
            chosen, describe_training(chosen, {**INPUTS, "checkpoint": "c"})
        )


def test_how_it_runs_is_no_part_of_the_configuration(tmp_path):
    write(settings(tmp_path))
    again = settings(tmp_path, micro_batch=2, save_every=1, checkpointing="on")
    check_directory(again, describe_training(again, INPUTS))


@pytest.mark.parametrize(
    ("rate", "steps", "accepted"),
    [("constant", 9, True), ("constant", 5, False), ("cosine", 9, False)],
)
def test_a_constant_rate_may_be_trained_for_longer(tmp_path, rate, steps, accepted):
    write(settings(tmp_path, lr_schedule=rate))
    longer = settings(tmp_path, lr_schedule=rate, steps=steps)
    description = describe_training(longer, INPUTS)
    if accepted:
        check_directory(longer, description)
        return
    with pytest.raises(ConfigurationChanged, match=f"--steps was 7, now {steps}"):
        check_directory(longer, description)


def test_other_directories_are_left_alone(tmp_path):
    chosen = settings(tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="holds no training to resume"):
        reserve_directory(chosen, describe_training(chosen, INPUTS))
    (tmp_path / "photo.jpg").touch()
    chosen = settings(tmp_path)
    with pytest.raises(InputError, match="not empty and not a training"):
        reserve_directory(chosen, describe_training(chosen, INPUTS))
    with pytest.raises(InputError, match="is a file"):
        chosen = settings(tmp_path / "photo.jpg")
        reserve_directory(chosen, describe_training(chosen, INPUTS))
