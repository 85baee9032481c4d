"""Formats in which scores are published, recognised by their columns.

Each entry names columns that only this publisher has together, and which of them are
the motion and the visual score. A remark says what a column measures: an *amount* of
motion is not its quality, and an aesthetic score is taste, not sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass

from tqd_probe.clips.column_names import ALIASES, AMOUNTS, column_key, find_column
from tqd_probe.core.errors import InputError


@dataclass(frozen=True)
class PublishedFormat:
    """A published format of score tables.

    Attributes:
        name: Name of the format.
        needs: Column keys that together identify it.
        video: Keys of the clip's name, in order of preference.
        mq: Keys of the motion score, in order of preference.
        vq: Keys of the visual score, in order of preference.
        caption: Keys of the caption, in order of preference.
        remark: What a user should know about these scores, one sentence.
        per_video: Cells are lists with one entry per clip of a video.
    """

    name: str
    needs: tuple[str, ...]
    video: tuple[str, ...] = tuple(ALIASES["video"])
    mq: tuple[str, ...] = ()
    vq: tuple[str, ...] = ()
    caption: tuple[str, ...] = ("caption", "prompt", "text_prompt", "text")
    remark: str = ""
    per_video: bool = False


AMOUNT = "the motion column is an amount of motion, not its quality"
FORMATS = (
    PublishedFormat(
        "videoalign",
        ("reward_mq", "reward_vq"),
        video=("path", "video", "video_path"),
        mq=("reward_mq",),
        vq=("reward_vq",),
        caption=("prompt",),
    ),
    PublishedFormat(
        "koala-36m",
        (
            "videoid",
            "clarity_score",
            "motion_score",
            "video_training_suitability_score",
        ),
        video=("videoid",),
        mq=("motion_score",),
        vq=("clarity_score",),
        remark=AMOUNT,
    ),
    PublishedFormat(
        "openvid-1m",
        ("video", "aesthetic_score", "motion_score", "temporal_consistency_score"),
        video=("video",),
        mq=("motion_score",),
        vq=("aesthetic_score",),
        remark=f"{AMOUNT}; the visual column is an aesthetic score",
    ),
    PublishedFormat(
        "panda-70m",
        ("videoid", "matching_score", "desirable_filtering"),
        video=("videoid",),
        remark="Panda-70M publishes no motion or visual score: its labels are kept in"
        " components, score the clips themselves (--clips)",
        per_video=True,
    ),
    PublishedFormat(
        "videofeedback",
        ("visual_quality", "dynamic_degree", "factual_consistency"),
        video=("id", "video_link"),
        mq=("dynamic_degree",),
        vq=("visual_quality",),
        remark="human ratings from 1 to 4, so many ties; dynamic degree is an amount",
    ),
    PublishedFormat(
        "dover",
        ("aesthetic_score", "technical_score", "overall_final_score"),
        video=("path",),
        vq=("technical_score",),
        remark="DOVER judges no motion",
    ),
    PublishedFormat(
        "nemo-curator",
        ("motion_score_global_mean",),
        video=("span_uuid", *ALIASES["video"]),
        mq=("motion_score_global_mean",),
        vq=("aesthetic_score",),
        remark=f"{AMOUNT}; the visual column is an aesthetic score",
    ),
    PublishedFormat(
        "data-juicer",
        ("videos", "video_motion_score"),
        video=("videos",),
        mq=("video_motion_score",),
        vq=("video_frames_aesthetics_score",),
        remark=f"{AMOUNT}; the visual column is an aesthetic score",
        per_video=True,
    ),
)
GENERIC = PublishedFormat(
    "columns",
    (),
    mq=tuple(ALIASES["mq"]),
    vq=tuple(ALIASES["vq"]),
)


@dataclass(frozen=True)
class Columns:
    """The columns of a table, by the names of its header.

    Attributes:
        format: The published format.
        video: Column of the clip's name.
        mq: Column of the motion score, or None.
        vq: Column of the visual score, or None.
        caption: Column of the caption, or None.
        source: Column of the source, or None.
    """

    format: PublishedFormat
    video: str
    mq: str | None
    vq: str | None
    caption: str | None
    source: str | None

    @property
    def remark(self) -> str:
        """What a user should know about these scores; empty when nothing."""
        if self.format.remark:
            return self.format.remark
        if self.mq and column_key(self.mq) in AMOUNTS:
            return f"{self.mq!r}: {AMOUNT}"
        return ""


def recognise(columns: list[str], chosen: dict[str, str | None]) -> Columns:
    """Recognise the format of a table by its columns.

    Args:
        columns: The names of its header.
        chosen: Columns the user named for ``video``, ``mq`` and ``vq``; None for those
            of the format.

    Returns:
        The columns.

    Raises:
        InputError: If the format is not known, columns are ambiguous, or rows are pairs
            of clips.
    """
    keys = {column_key(name) for name in columns}
    if {"path_a", "path_b"} <= keys:
        raise InputError(
            "holds pairs (path_A, path_B): its VQ and MQ are preferences or scores of"
            " two clips; give VideoAlign's out_single.csv, one row per clip"
        )
    matching = [each for each in FORMATS if keys.issuperset(each.needs)]
    format = matching[0] if matching else GENERIC
    named = {field: _chosen(columns, name) for field, name in chosen.items()}
    video = named.get("video") or find_column(columns, format.video)
    mq = named.get("mq") or find_column(columns, format.mq)
    vq = named.get("vq") or find_column(columns, format.vq)
    if video is None or (format is GENERIC and mq is None and vq is None):
        missing = "the clip's name" if video is None else "a motion or visual score"
        raise InputError(
            f"no column for {missing}; found: {', '.join(columns)}; known for video:"
            f" {', '.join(ALIASES['video'])}; for mq: {', '.join(ALIASES['mq'])}; for"
            f" vq: {', '.join(ALIASES['vq'])}; name others with --video-column,"
            " --mq-column, --vq-column"
        )
    return Columns(
        format=format,
        video=video,
        mq=mq,
        vq=vq,
        caption=find_column(columns, format.caption),
        source=find_column(columns, ALIASES["source"]),
    )


def _chosen(columns: list[str], name: str | None) -> str | None:
    """Return a column the user named.

    Raises:
        InputError: If there is none of that name.
    """
    if name is None or name in columns:
        return name
    match = find_column(columns, [column_key(name)])
    if match is None:
        raise InputError(
            f"column {name!r}: not there; the columns are {', '.join(columns)}"
        )
    return match
