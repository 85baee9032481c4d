"""Score clips with VideoAlign (VideoReward, Liu et al., arXiv 2501.13918).

VideoAlign is a repository, not a package: its folder goes to ``--videoalign-code`` and
the folder of its weights (``model_config.json`` and checkpoints) to ``--weights``. Its
class is ``VideoVLMRewardInference(weights, device=..., dtype=...)`` in
``inference.py``, and ``reward(video_paths, prompts, use_norm=...)`` gives VQ, MQ, TA
and their sum per clip. The prompt is the caption; it is required. Raw scores are asked
for (``use_norm=False``): VideoAlign's own normalisation has its constants in the
checkpoint, and this package normalises scores itself.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqd_probe.clips.decoding_process import check_whole
from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import file_digest, read_json
from tqd_probe.scoring.tasks import Task

DIMENSIONS = ("VQ", "MQ", "TA", "Overall")
CLASS = "VideoVLMRewardInference"


class VideoAlign:
    """The model, loaded.

    Attributes:
        weights: Folder of the weights.
    """

    def __init__(self, weights: Path, code: Path | None, device: str) -> None:
        """Load the model.

        Args:
            weights: Folder with ``model_config.json``.
            code: Folder of the VideoAlign repository; None when it can be imported.
            device: ``auto``, ``cuda``, ``cuda:N`` or ``cpu``.

        Raises:
            InputError: If weights, code or what it depends on is missing.
        """
        describe(weights)
        import torch

        self.weights = weights
        self._torch = torch
        if device != "cpu" and not torch.cuda.is_available():
            raise InputError(
                f"--device {device}: no GPU here, and VideoAlign needs one; score on"
                " another machine, or use --scorer proxies"
            )
        kind, place = _load_class(code), resolve_device(device)
        try:
            self._model = kind(str(weights), device=place, dtype=torch.bfloat16)
        except (OSError, KeyError, ImportError, RuntimeError) as error:
            raise InputError(
                f"--weights {weights}: VideoAlign cannot load them"
                f" ({type(error).__name__}: {error}); check its environment"
            ) from error

    def score(
        self, tasks: Sequence[Task], batch_size: int
    ) -> Iterator[tuple[Task, dict[str, Any]]]:
        """Score clips in batches, in their order.

        Args:
            tasks: The clips.
            batch_size: Clips per call of the model.

        Yields:
            Clips and results: ``mq``, ``vq`` raw and ``components``, or ``bad``.
        """
        batch: list[tuple[Task, str, str]] = []
        for number, task in enumerate(tasks, 1):
            try:
                batch.append((task, *model_input(task)))
            except BadClip as error:
                yield task, {"bad": str(error)}
            if batch and (len(batch) == batch_size or number == len(tasks)):
                yield from self._batch(batch)
                batch = []
        if batch:
            yield from self._batch(batch)

    def _batch(
        self, batch: list[tuple[Task, str, str]]
    ) -> Iterator[tuple[Task, dict[str, Any]]]:
        """Score one batch.

        Yields:
            Clips and results.

        Raises:
            InputError: If the model does not give one reward per clip.
        """
        with self._torch.no_grad():
            rewards = self._model.reward(
                [path for _, path, _ in batch],
                [prompt for _, _, prompt in batch],
                use_norm=False,
            )
        if len(rewards) != len(batch):
            raise InputError(
                f"--scorer videoalign: {len(rewards)} rewards for {len(batch)} clips;"
                " use the version of VideoAlign that this was written for"
            )
        for (task, _, _), reward in zip(batch, rewards):
            yield task, result(task, reward)


def model_input(task: Task) -> tuple[str, str]:
    """Return the model's inputs for one clip.

    Args:
        task: The clip.

    Returns:
        Absolute path of the video, and its caption as prompt.

    Raises:
        BadClip: If the video cannot be decoded to its end, which another process tries
            first, or has no caption. VideoAlign would stop the whole run there.
    """
    if task.video.startswith("synthetic:"):
        raise BadClip(f"{task.video}: video: VideoAlign reads files; give a folder")
    prompt = task.prompt()
    path = Path(task.video).resolve()
    check_whole(path)
    return str(path), prompt


def result(task: Task, reward: dict[str, float]) -> dict[str, Any]:
    """Turn a reward into a result.

    Args:
        task: The clip.
        reward: VQ, MQ, TA and Overall.

    Returns:
        ``mq``, ``vq`` and ``components``, or ``bad`` where a score is not finite.
    """
    values = {name: float(reward[name]) for name in DIMENSIONS if name in reward}
    if not {"MQ", "VQ"} <= values.keys() or not all(
        map(math.isfinite, values.values())
    ):
        return {"bad": f"{task.video}: reward: {reward} is not a score; leave it out"}
    kept = {f"reward_{name}": round(value, 6) for name, value in values.items()}
    return {"mq": kept["reward_MQ"], "vq": kept["reward_VQ"], "components": kept}


def describe(weights: Path) -> dict[str, Any]:
    """Return everything the scores depend on, for the journal.

    Args:
        weights: Folder of the weights.

    Returns:
        Scorer, scale, digest of the configuration, and its frame sampling.

    Raises:
        InputError: If the folder is not one of VideoAlign's.
    """
    path = weights / "model_config.json"
    if not path.is_file():
        raise InputError(
            f"--weights {weights}: holds no model_config.json; give the folder of"
            " VideoReward's weights"
        )
    config = read_json(path, "VideoAlign's model_config.json")
    data = config.get("data_config") if isinstance(config, dict) else None
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: data_config: is missing; give VideoReward's own file"
        )
    return {
        "scorer": "videoalign",
        "scale": "raw",
        "config": file_digest(path),
        "fps": data.get("fps"),
        "num_frames": data.get("num_frames"),
        "normalisation_of_checkpoint": config.get("inference_config"),
    }


def _load_class(code: Path | None) -> Any:
    """Import VideoAlign's class.

    Returns:
        The class.

    Raises:
        InputError: If it, or something it needs, is missing.
    """
    if code is not None:
        if not (code / "inference.py").is_file():
            raise InputError(
                f"--videoalign-code {code}: holds no inference.py; give a clone of the"
                " VideoAlign repository"
            )
        sys.path.insert(0, str(code.resolve()))
    try:
        module = importlib.import_module("inference")
        return getattr(module, CLASS)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"--scorer videoalign: {error}; clone VideoAlign, install its requirements"
            " and give the folder with --videoalign-code"
        ) from error
