"""Options in files: read as if typed, written so that they replay."""

from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field
from pydantic_settings import CliPositionalArg

from tqd_probe.core.command_line import Options, parse
from tqd_probe.core.config_file import CONFIG_FILE, write_config
from tqd_probe.core.errors import InputError


class Small(Options):
    """A small command."""

    heading: ClassVar[str] = "all"

    place: CliPositionalArg[Path] = Field(description="where")
    num_clips: int = Field(default=24, ge=2, description="clips")
    lr: float = Field(default=1e-3, description="rate")
    levels: str = Field(default="10", description="levels")
    checkpointing: Literal["auto", "on", "off"] = Field(default="auto", description="x")
    quiet: bool = Field(default=False, description="silence")
    overwrite: bool = Field(default=False, description="replace")
    from_: Path | None = Field(default=None, alias="from", description="table")


def parsed(*words):
    return parse(Small, list(map(str, words)), "small")


TEXTS = {
    "a.toml": 'place = "x"\nnum-clips = 8\nlr = 1e-4\nlevels = [0.3, 0.8]\n'
    'checkpointing = "on"\nquiet = true\nfrom = "t.csv"\n',
    "b.yaml": "place: x\nnum_clips: 8\nlr: 1e-4\nlevels: 0.3,0.8\n"
    "checkpointing: on\nquiet: true\nfrom: t.csv\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_says_what_a_command_line_says(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    found = parsed("--config", tmp_path / name)
    typed = "x --num-clips 8 --lr 1e-4 --levels 0.3,0.8 --checkpointing on --quiet"
    assert found == parsed(*typed.split(), "--from", "t.csv")
    # What is typed goes before the file.
    other = parsed(f"--config={tmp_path / name}", "--num-clips", 9, "y", "--no-quiet")
    assert (other.num_clips, other.place, other.quiet) == (9, Path("y"), False)
    assert other.lr == 1e-4


@pytest.mark.parametrize("name", TEXTS)
def test_a_written_file_replays_what_was_given(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    found = parsed("--config", tmp_path / name, "--overwrite")
    write_config(found, tmp_path / CONFIG_FILE)
    again = parsed("--config", tmp_path / CONFIG_FILE)
    assert again == found.model_copy(update={"overwrite": False})
    assert again.model_fields_set == found.model_fields_set - {"overwrite"}
    assert "tqd_probe" in (tmp_path / CONFIG_FILE).read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.toml", "numclips = 3", "numclips is no option of this command; did you"),
        ("a.toml", 'num_clips = 3\nnum-clips = 4\nplace = "x"', "given twice"),
        ("a.yaml", "lr: 1\nlr: 2", "key 'lr' stands twice"),
        ("a.toml", 'place = "x"\nnum_clips = 1', "--num-clips 1: input should be gre"),
        ("a.toml", 'place = "x"\nquiet = "perhaps"', "--quiet perhaps: input should"),
        ("a.toml", "lr = ", "cannot be read"),
        ("a.toml", "[train]\nlr = 1", "train is no option of this command"),
        ("a.toml", "lr = {a = 1}", "lr must be a single value"),
        ("a.toml", "lr = 2026-01-01", "lr must be a single value"),
        ("a.yaml", "lr:", "lr has no value; give one, or leave the key out"),
        ("a.yaml", "- lr", "holds no options; write each as num_clips: 24"),
        ("a.json", "{}", "must be a .toml or .yaml or .yml file"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path, name, text, fault):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as error:
        parsed("--config", path)
    assert str(error.value).startswith(f"--config {path}: ")
    assert fault in str(error.value)


def test_a_missing_file_and_a_second_one_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        parsed("--config", tmp_path / "none.toml")
    with pytest.raises(InputError, match="needs a file"):
        parsed("x", "--config")
    with pytest.raises(InputError, match="given twice"):
        parsed("--config", "a.toml", "--config", "b.toml")
    with pytest.raises(InputError, match="required: PLACE"):
        parsed("--num-clips", 3)  # no file: the place is asked for as before


def test_a_folder_is_the_pipeline_of_a_single_file(tmp_path):
    from tqd_probe.gradsim import GradsimOptions

    words = ["--ckpt", "x.safetensors", "--config", str(tmp_path)]
    found = parse(GradsimOptions, words, "gradsim")
    assert found.pipeline == str(tmp_path)
    with pytest.raises(InputError, match="is a folder; give a file"):
        parsed("x", "--config", tmp_path)  # a command without checkpoints


def test_the_file_of_a_probe_replays_it(probe_run, pipeline):
    """It holds what was typed, not what became of it."""
    from probe_runs import arguments

    from tqd_probe.gradsim import GradsimOptions

    typed = parse(GradsimOptions, arguments(pipeline, probe_run), "gradsim")
    file = ["--config", str(probe_run / CONFIG_FILE)]
    found = parse(GradsimOptions, file, "gradsim")
    assert found.model_fields_set == typed.model_fields_set
    # Workers build shared runs in a place of their own and rename it.
    assert found.model_copy(update={"out": typed.out}) == typed


def test_the_file_of_a_training_replays_it(straight, pipeline, manifest):
    from training_runs import options

    from tqd_probe.train import TrainOptions

    made = TrainOptions(**options(pipeline, manifest, straight))
    found = parse(TrainOptions, ["--config", str(straight / CONFIG_FILE)], "train")
    assert found.model_copy(update={"out": made.out}) == made


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bands.json", '{"format": "tqd-band-schedule"}', "is a band schedule; give"),
        ("a.toml", "dataset = 'd'\n[model]\ntype = 'wan'", "preview and export read"),
        ("a.toml", "\0\0\0\x18ftypmp42", "is a video; give the run.toml of a run"),
        ("scores.csv", "video,mq\na.mp4,1\n", "is a table of clips; give"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as error:
        parsed("--config", path)
    assert str(error.value).startswith(f"{path}: is ")
    assert said in str(error.value)


def test_a_run_directory_has_the_file_that_is_wanted(tmp_path):
    (tmp_path / "run.json").touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / CONFIG_FILE).write_text("")
    with pytest.raises(InputError) as error:
        parsed("x", "--config", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: is a run directory of train; give {tmp_path / CONFIG_FILE}"
    )


def test_a_run_directory_is_not_taken_for_a_pipeline(tmp_path):
    from tqd_probe.gradsim import GradsimOptions

    (tmp_path / CONFIG_FILE).write_text("draws = 3")
    (tmp_path / "gradsim.json").touch()
    with pytest.raises(InputError) as error:
        parse(GradsimOptions, ["--ckpt", "tiny", "--config", str(tmp_path)], "gradsim")
    assert str(error.value).endswith(
        f"is a run directory of gradsim; give {tmp_path / CONFIG_FILE}"
    )
