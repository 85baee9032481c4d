"""What a file or folder is, so that a message about a wrong one can say it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqd_probe.core.errors import InputError
from tqd_probe.core.file_content import kind_of_content
from tqd_probe.core.structured_text import FORMATS, parse_structured
from tqd_probe.core.text_files import open_text, read_text

OWN_KINDS = {
    "bands": "a band schedule",
    "gradsim": "the result of gradsim",
    "verify": "the result of verify",
    "summary": "the summary of a table of scores",
    "journal": "the journal of score, with which it resumes",
    "run": "the settings of a run",
    "options": "the options of a run of tqd-probe",
    "draws": "a count of the draws of a training run",
    "cost": "what a run of gradsim cost",
    "log": "a log of a training run",
    "usefulness": "gradsim's table of what each clip is worth",
    "gradsim folder": "a run directory of gradsim",
    "train folder": "a run directory of train",
    "verify folder": "a run directory of verify",
}
TRAINERS = {
    "diffsynth": "a launch script of DiffSynth-Studio",
    "simpletuner": "a configuration of SimpleTuner",
    "musubi": "a configuration of musubi-tuner",
    "diffusion-pipe": "a configuration of diffusion-pipe",
    "ltx2": "a configuration of the LTX-2 trainer",
    "ai-toolkit": "a configuration of ai-toolkit",
    "nemo": "a recipe of NeMo Automodel",
    "fastvideo": "a configuration of FastVideo",
}
DATA_SETS = {
    "diffusion-pipe data": "a list of data sets of diffusion-pipe",
    "musubi data": "a list of data sets of musubi-tuner",
    "simpletuner data": "a list of data sets of SimpleTuner",
}
OTHERS = {
    "pipeline": "a diffusers pipeline",
    "weights": "a file of weights",
    "LoRA": "a LoRA",
    "pickle": "a file of pickled weights",
    "GGUF": "a GGUF file of quantised weights",
    "picture": "a picture",
    "video": "a video",
    "table": "a table of clips",
    "folder": "a folder",
    "empty": "an empty file",
    "binary": "a file of binary data, no text",
}
PHRASES = OWN_KINDS | TRAINERS | DATA_SETS | OTHERS
OWN_FORMATS = {
    "tqd-band-schedule": "bands",
    "tqd-gradsim": "gradsim",
    "tqd-verify": "verify",
    "tqd-scores": "summary",
    "tqd-score-journal": "journal",
}
LARGEST = 1 << 26  # bytes of a file that is parsed
LONGEST_ROW = 1 << 20  # characters of a first row that are looked at
ROWS = (".jsonl", ".csv", ".tsv")
OPTIONS_HEAD = "# tqd_probe "  # of run.toml


def kind_of(path: Path) -> str | None:
    """Return what a file or folder is, by its content.

    Args:
        path: The file or folder.

    Returns:
        A key of `PHRASES`; None for what is not known or cannot be read.
    """
    with suppress(OSError, ValueError, csv.Error, InputError):
        if path.is_dir():
            return _kind_of_folder(path)
        if not path.is_file():
            return None
        kind = kind_of_content(path)
        if kind is not None:
            return "table" if kind == "Parquet" else kind
        if path.suffix in ROWS:
            with open_text(path) as rows:  # of any number
                return _kind_of_text(rows.readline(LONGEST_ROW), path.suffix)
        if path.stat().st_size > LARGEST:
            return None
        return _kind_of_text(read_text(path), path.suffix)
    return None


def _kind_of_text(text: str, suffix: str) -> str | None:
    """Return what a text is, read as its suffix says.

    Raises:
        ValueError: If it is damaged.
    """
    if text.startswith(OPTIONS_HEAD):
        return "options"
    if suffix in FORMATS:
        return _kind_of_content(parse_structured(text, suffix))
    if suffix == ".jsonl":
        return _kind_of_row(json.loads(text))
    if suffix in (".csv", ".tsv"):
        comma = "," if suffix == ".csv" else "\t"
        names = next(csv.reader(text.splitlines(), delimiter=comma), [])
        return _kind_of_row(dict.fromkeys(names))
    return _kind_of_script(text)


def _kind_of_folder(path: Path) -> str:
    """Return what a folder is."""
    if (path / "model_index.json").is_file():
        return "pipeline"
    found = [(path / f"{name}.json").is_file() for name in ("run", "gradsim", "verify")]
    if found[1]:
        return "gradsim folder"
    if found[2] or (found[0] and (path / "trials").is_dir()):
        return "verify folder"
    if found[0] and (path / "checkpoints").is_dir():
        return "train folder"
    return "folder"


def _kind_of_content(value: Any) -> str | None:
    """Return what a TOML, YAML or JSON file is."""
    if isinstance(value, list):
        rows = [each for each in value if isinstance(each, dict)]
        if any("instance_data_dir" in row for row in rows):
            return "simpletuner data"
        return _kind_of_row(value[0]) if value else None
    if not isinstance(value, dict):
        return None
    if value.get("format") in OWN_FORMATS:
        return OWN_FORMATS[value["format"]]
    keys = {str(key).lstrip("-").replace("-", "_") for key in value}
    inside = {name: set(each) for name, each in value.items() if isinstance(each, dict)}
    flow = inside.get("flow_matching", set())
    tests = {
        "run": {"settings", "inputs", "versions"} <= keys,
        "cost": {"predicted", "achieved"} <= keys,
        "draws": {"buckets", "draws", "counts"} <= keys,
        "diffusion-pipe data": isinstance(value.get("directory"), list),
        "musubi data": isinstance(value.get("datasets"), list),
        "diffusion-pipe": "dataset" in keys and "type" in inside.get("model", set()),
        "musubi": bool(
            {"network_module", "dataset_config"} & keys.union(*inside.values())
        ),
        "simpletuner": bool({"data_backend_config", "model_family"} & keys),
        "ai-toolkit": "process" in inside.get("config", set()),
        "nemo": bool({"timestep_sampling", "adapter_type"} & flow),
        "ltx2": "timestep_sampling_mode" in flow
        or "preprocessed_data_root" in inside.get("data", set()),
        "fastvideo": "student" in inside.get("models", set()),
    }
    return next((kind for kind, holds in tests.items() if holds), None)


def _kind_of_row(row: Any) -> str | None:
    """Return what a table is, by its first row or its columns."""
    if not isinstance(row, dict):
        return None
    if row.get("format") in OWN_FORMATS:
        return OWN_FORMATS[row["format"]]
    if {"clip", "usefulness"} <= row.keys():
        return "usefulness"
    if "step" in row and {"loss", "classes"} & row.keys():
        return "log"
    return "table" if "video" in row else None


def _kind_of_script(text: str) -> str | None:
    """Return whose launch script a text is."""
    if "train_network.py" in text and "--" in text:
        return "musubi"
    if "train.py" in text and "--dataset_base_path" in text:
        return "diffsynth"
    return None


def refuse_other_kinds(
    path: Path, accepted: Collection[str], cure: Callable[[str], str]
) -> None:
    """Refuse a file or folder that is known to be of another kind.

    Args:
        path: The file or folder.
        accepted: Kinds, keys of `PHRASES`, that are not refused.
        cure: What to give instead of a kind.

    Raises:
        InputError: With what it is.
    """
    kind = kind_of(path)
    if kind is not None and kind not in accepted:
        raise InputError(f"{path}: is {PHRASES[kind]}; {cure(kind)}")


@contextmanager
def explained(
    path: Path, accepted: Collection[str], cure: Callable[[str], str]
) -> Iterator[None]:
    """Let an error about a file say what the file is, where it is another kind.

    Args:
        path: The file or folder that is read.
        accepted: Kinds, keys of `PHRASES`, whose faults are named as they are.
        cure: What to give instead of a kind.

    Yields:
        Nothing.

    Raises:
        InputError: As it was raised inside, or with what the file is.
    """
    try:
        yield
    except InputError as error:
        try:
            refuse_other_kinds(path, accepted, cure)
        except InputError as known:
            raise known from error
        raise


def beside(path: Path, name: str) -> Path | None:
    """Return a file of a name in a folder, or beside a file; None without one."""
    place = (path if path.is_dir() else path.parent) / name
    return place if place.is_file() else None
