"""The settings of scoring: one field per option, each with its unit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import DeviceSettings, SeedSettings
from tqd_probe.scoring.clip_scores import ReadOptions
from tqd_probe.scoring.score_table import ClassificationRule
from tqd_probe.scoring.thresholds import parse_threshold


class ScoreSettings(DeviceSettings, SeedSettings):
    """What is scored, how, and what becomes of the scores."""

    model_config = ConfigDict(populate_by_name=True)

    clips: str | None = Field(
        default=None,
        description="clips to score: a folder of videos, a table with a column of"
        " videos, or synthetic:N",
    )
    from_: Path | None = Field(
        default=None,
        alias="from",
        description="published scores to convert instead: .csv, .json, .jsonl,"
        " .parquet, DOVER's .txt, VBench's .json, or a folder of .json files",
    )
    out: Path = Field(
        description="table to write, .csv or .jsonl; resumes a run of --clips"
    )
    normalise: Literal["quantile", "minmax", "logistic", "none"] = Field(
        default="quantile",
        description="how scores come to [0, 1]: quantile (share of clips below),"
        " minmax, logistic (median to 0.5), none (they lie there already)",
    )
    mq_min: str = Field(
        default="0.5",
        description="motion from here on is good: a normalised score such as 0.5, or a"
        " quantile of the column such as q0.7",
    )
    vq_min: str = Field(
        default="0.5", description="visual quality from here on is good, as --mq-min"
    )
    max_bad: int | None = Field(
        default=None,
        ge=0,
        description="clips or rows that may be left out before the run stops (default:"
        " any number of clips, listed in OUT.quarantine.csv; no row of --from)",
    )
    video_column: str | None = Field(
        default=None, description="column of --from with the clip's name"
    )
    mq_column: str | None = Field(
        default=None, description="column of --from to take as motion score"
    )
    vq_column: str | None = Field(
        default=None, description="column of --from to take as visual score"
    )
    scale: Literal["raw", "normalised"] | None = Field(
        default=None,
        description="scale of VideoAlign's rewards in --from, which the file does not"
        " say (default: judged by their medians)",
    )
    videos: Path | None = Field(
        default=None,
        description="folder of the videos that --from names, so that OUT is a manifest",
    )
    scorer: Literal["proxies", "videoalign"] = Field(
        default="proxies",
        description="what judges clips: proxies need no weights; videoalign needs"
        " --weights, captions and a GPU",
    )
    weights: Path | None = Field(
        default=None, description="folder of VideoReward's weights (videoalign)"
    )
    videoalign_code: Path | None = Field(
        default=None, description="folder of the VideoAlign repository (videoalign)"
    )
    batch_size: int = Field(default=8, ge=1, description="clips per call (videoalign)")
    fps: float = Field(
        default=16.0,
        gt=0,
        le=1000,
        description="frames judged per second: every k-th is read, k the rounded ratio"
        " of the rates",
    )
    frames: int = Field(
        default=81, ge=4, le=100_000, description="frames judged, from the first on"
    )
    cuts: Literal["refuse", "split", "keep"] = Field(
        default="refuse",
        description="clips across a scene cut: refuse (quarantine), split (into files"
        " of one scene in OUT's folder), keep",
    )
    min_scene: float = Field(
        default=1.0, gt=0, le=3600, description="shortest scene of a split, in seconds"
    )
    num_clips: int | None = Field(
        default=None, ge=1, description="score the first clips only"
    )
    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        le=4096,
        description="processes, one per core by default",
    )
    engine: Literal["local", "ray"] = Field(
        default="local", description="where clips are scored: this machine, or Ray Data"
    )
    ray_address: str | None = Field(
        default=None,
        description="address of a Ray cluster, or auto (default: a local Ray)",
    )
    shard_size: int = Field(
        default=64, ge=1, le=100_000, description="clips per Ray task"
    )
    overwrite: bool = Field(
        default=False, description="start anew where OUT was scored with other settings"
    )

    @field_validator("mq_min", "vq_min")
    @classmethod
    def _threshold(cls, text: str) -> str:
        try:
            parse_threshold(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _fits(self) -> ScoreSettings:
        if (self.clips is None) == (self.from_ is None):
            raise ValueError("give either --clips (to score) or --from (to convert)")
        if self.scorer == "videoalign" and self.clips and self.weights is None:
            raise ValueError("--scorer videoalign needs --weights")
        for fields, used, where in (
            (_ONLY_FROM, self.from_ is not None, "--from"),
            (_ONLY_CLIPS, self.clips is not None, "--clips"),
            (_ONLY_MODEL, self.scorer == "videoalign", "--scorer videoalign"),
            (_ONLY_PROXIES, self.scorer == "proxies", "--scorer proxies"),
            (_ONLY_RAY, self.engine == "ray", "--engine ray"),
            ({"min_scene"}, self.cuts == "split", "--cuts split"),
            ({"workers"}, self.ray_address is None, "a machine, not to --ray-address"),
        ):
            unread = sorted(fields & self.model_fields_set)
            if unread and not used:
                flag = unread[0].replace("_", "-")
                raise ValueError(f"--{flag} belongs to {where}; leave it out")
        return self

    def classification(self) -> ClassificationRule:
        """Return normalisation and thresholds.

        Returns:
            How scores become numbers in [0, 1] and classes.
        """
        return ClassificationRule(
            self.normalise, parse_threshold(self.mq_min), parse_threshold(self.vq_min)
        )

    def reading(self) -> ReadOptions:
        """Return how clips are read.

        Returns:
            Rate, frames, and what becomes of cuts.
        """
        scenes = self.out.with_suffix("").name + "_scenes"
        return ReadOptions(
            fps=self.fps,
            frames=self.frames,
            cuts=self.cuts,
            scenes=str(self.out.parent / scenes),
            min_scene=self.min_scene,
            seed=self.seed,
        )


_ONLY_FROM = {"video_column", "mq_column", "vq_column", "scale", "videos"}
_ONLY_MODEL = {"weights", "videoalign_code", "device", "batch_size"}
_ONLY_RAY = {"ray_address", "shard_size"}
_ONLY_PROXIES = {
    *_ONLY_RAY,
    *("fps", "frames", "cuts", "min_scene", "workers", "engine", "seed"),
}
_ONLY_CLIPS = {*_ONLY_MODEL, *_ONLY_PROXIES, "scorer", "num_clips", "overwrite"}
