"""The settings of scoring: one field per option, each with its unit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import DeviceSettings, SeedSettings, Settings
from tqd_probe.scoring.clip_scores import ReadOptions
from tqd_probe.scoring.score_table import ClassificationRule
from tqd_probe.scoring.thresholds import parse_threshold


class ClipsToScoreSettings(Settings):
    """What is scored."""

    heading: ClassVar[str] = "clips (--clips), or published scores (--from)"

    clips: str | None = Field(
        default=None,
        description="clips to score: a folder of videos, a table with a column of"
        " videos, or synthetic:N; or give --from",
    )
    from_: Path | None = Field(
        default=None,
        alias="from",
        description="published scores to convert instead: .csv, .json, .jsonl,"
        " .parquet, DOVER's .txt, VBench's .json, or a folder of .json files",
    )
    num_clips: int | None = Field(
        default=None, ge=1, description="first clips scored (default: all)"
    )
    max_bad: int | None = Field(
        default=None,
        ge=0,
        description="clips or rows that may be left out before the run stops (default:"
        " any number of clips, listed in OUT.quarantine.csv; no row of --from)",
    )


class ClassSettings(Settings):
    """From scores to classes."""

    heading: ClassVar[str] = "classes"

    normalise: Literal["quantile", "minmax", "logistic", "none"] = Field(
        default="quantile",
        description="how scores are mapped to [0, 1]: quantile (share of clips below),"
        " minmax, logistic (median to 0.5), none (they are in it already)",
    )
    mq_min: str = Field(
        default="0.5",
        description="least motion quality of a good clip: a normalised score such as"
        " 0.5, or a quantile of the column such as q0.7",
    )
    vq_min: str = Field(
        default="0.5",
        description="least visual quality of a good clip, as --mq-min",
    )

    @field_validator("mq_min", "vq_min")
    @classmethod
    def _threshold(cls, text: str) -> str:
        try:
            parse_threshold(text)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text

    def classification(self) -> ClassificationRule:
        """Return normalisation and thresholds.

        Returns:
            How scores become numbers in [0, 1] and classes.
        """
        return ClassificationRule(
            self.normalise, parse_threshold(self.mq_min), parse_threshold(self.vq_min)
        )


class PublishedColumnSettings(Settings):
    """How published scores are read."""

    heading: ClassVar[str] = "reading of --from"

    video_column: str | None = Field(
        default=None,
        description="column with the clip's name (default: found by its name)",
    )
    mq_column: str | None = Field(
        default=None,
        description="column to take as motion score (default: found by its name)",
    )
    vq_column: str | None = Field(
        default=None,
        description="column to take as visual score (default: found by its name)",
    )
    scale: Literal["raw", "normalised"] | None = Field(
        default=None,
        description="scale of VideoAlign's rewards, which the file does not say"
        " (default: decided by their medians)",
    )
    videos: Path | None = Field(
        default=None,
        description="folder of the videos that --from names, so that OUT is a manifest"
        " (default: names as they are)",
    )


class ScorerSettings(Settings):
    """What judges clips."""

    heading: ClassVar[str] = "scorer"

    scorer: Literal["proxies", "videoalign"] = Field(
        default="proxies",
        description="what judges clips: proxies need no weights; videoalign needs"
        " --weights, captions and a GPU",
    )


class ProxySettings(Settings):
    """What proxies read of a clip."""

    heading: ClassVar[str] = "scorer"

    fps: float = Field(
        default=16.0,
        gt=0,
        le=1000,
        description="frames judged per second: those shown nearest to each instant, by"
        " the file's timestamps; for proxies",
    )
    frames: int = Field(
        default=81,
        ge=4,
        le=100_000,
        description="frames judged, from the first on; for proxies",
    )


class VideoAlignSettings(DeviceSettings):
    """The published reward model."""

    heading: ClassVar[str] = "scorer"

    weights: Path | None = Field(
        default=None,
        description="folder of VideoReward's weights; for videoalign (default: none)",
    )
    videoalign_code: Path | None = Field(
        default=None,
        description="folder of the VideoAlign repository; for videoalign (default: the"
        " installed package)",
    )
    batch_size: int = Field(
        default=8, ge=1, description="clips per call; for videoalign"
    )


class SceneCutSettings(Settings):
    """Clips of more than one scene."""

    heading: ClassVar[str] = "scene cuts"

    cuts: Literal["refuse", "split", "keep"] = Field(
        default="refuse",
        description="clips across a scene cut: refuse (quarantine), split (into files"
        " of one scene in OUT's folder), keep",
    )
    min_scene: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="shortest scene of a split, in seconds",
    )


class RaySettings(Settings):
    """Ray Data, on one machine or many."""

    heading: ClassVar[str] = "hardware"

    ray_address: str | None = Field(
        default=None,
        description="address of a Ray cluster, or auto (default: a local Ray)",
    )
    shard_size: int = Field(
        default=64, ge=1, le=100_000, description="clips per Ray task"
    )


class EngineSettings(Settings):
    """Where clips are scored."""

    heading: ClassVar[str] = "hardware"

    workers: int | None = Field(
        default=None,
        ge=0,
        le=4096,
        description="processes that decode and score clips, so that a crash of a"
        " decoder is no more than a bad clip; 0: this process (default: one per core)",
    )
    engine: Literal["local", "ray"] = Field(
        default="local", description="where clips are scored: this machine, or Ray Data"
    )

    def worker_count(self) -> int:
        """Return the number of processes on this machine.

        Returns:
            `workers`, or the cores that this process may use.
        """
        if self.workers is not None:
            return self.workers
        return len(os.sched_getaffinity(0))


class OutputSettings(Settings):
    """What is written."""

    heading: ClassVar[str] = "output"

    out: Path = Field(
        description="table to write, .csv or .jsonl; the same command resumes a run of"
        " --clips"
    )
    overwrite: bool = Field(
        default=False,
        description="start over if OUT was scored with other settings",
    )


class ScoreSettings(
    ClipsToScoreSettings,
    ClassSettings,
    PublishedColumnSettings,
    ScorerSettings,
    ProxySettings,
    VideoAlignSettings,
    SceneCutSettings,
    EngineSettings,
    RaySettings,
    SeedSettings,
    OutputSettings,
):
    """All settings of scoring."""

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _options_fit(self) -> ScoreSettings:
        if (self.clips is None) == (self.from_ is None):
            raise ValueError("give either --clips (to score) or --from (to convert)")
        if self.scorer == "videoalign" and self.clips and self.weights is None:
            raise ValueError("--scorer videoalign needs --weights")
        if self.engine == "ray" and self.workers == 0:
            raise ValueError("--workers 0: Ray needs at least 1; or leave out --engine")
        ray = set(RaySettings.model_fields)
        model = set(VideoAlignSettings.model_fields)
        proxies = ray.union(
            *(
                part.model_fields
                for part in (
                    ProxySettings,
                    SceneCutSettings,
                    EngineSettings,
                    SeedSettings,
                )
            )
        )
        clips = model | proxies | {"scorer", "num_clips", "overwrite"}
        for fields, used, where in (
            (
                set(PublishedColumnSettings.model_fields),
                self.from_ is not None,
                "--from",
            ),
            (clips, self.clips is not None, "--clips"),
            (model, self.scorer == "videoalign", "--scorer videoalign"),
            (proxies, self.scorer == "proxies", "--scorer proxies"),
            (ray, self.engine == "ray", "--engine ray"),
            ({"min_scene"}, self.cuts == "split", "--cuts split"),
            ({"workers"}, self.ray_address is None, "a machine, not to --ray-address"),
        ):
            unread = sorted(fields & self.model_fields_set)
            if unread and not used:
                flag = unread[0].replace("_", "-")
                raise ValueError(f"--{flag} belongs to {where}; leave it out")
        return self

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
