"""Column names: which names of public scorers and data sets mean which field.

Names are compared in lower case, stripped, with blanks, hyphens, slashes and dots as
underscores. The first alias that a table has is the field; of several columns that may
name the video, the first whose cell is a file (`tqd_probe.clips.clip_table`). Where
several publishers use one name for different things,
`tqd_probe.scoring.published.formats` tells them apart by the other columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tqd_probe.core.errors import InputError

ALIASES = {
    "video": [
        "video",  # names of a path, then of an id
        "path",
        "video_path",
        "file_path",  # VideoX-Fun
        "media_path",  # LTX
        "file_name",  # video folders of Hugging Face
        "filename",
        "file",
        "videoid",
        "clip_id",
        "id",
        "name",
        "span_uuid",
    ],
    "caption": ["caption", "prompt", "text", "cap", "captions"],
    "mq": [
        "mq",
        "mq_norm",
        "reward_mq",
        "motion_quality",
        "motion_score",
        "video_motion_score",
        "flow",
        "dynamic_degree",
        "motion_score_global_mean",
    ],
    "vq": [
        "vq",
        "vq_norm",
        "reward_vq",
        "visual_quality",
        "technical_score",
        "overall_final_score",
        "imaging_quality",
        "clarity_score",
        "aesthetic_score",
        "aes",
        "video_frames_aesthetics_score",
    ],
    "class": ["class"],
    "source": ["source"],
    "repeats": ["repeats", "num_repeats"],
}
TEXT_COLUMNS = {
    name for field in ("video", "caption", "class", "source") for name in ALIASES[field]
}
AMOUNTS = {
    "motion_score",
    "video_motion_score",
    "flow",
    "dynamic_degree",
    "motion_score_global_mean",
}  # how much moves, not how well
EXTRAS = (
    "ta",
    "reward_ta",
    "overall",
    "reward_overall",
    "reward_all",
    "temporal_consistency",
    "temporal_consistency_score",
    "motion_smoothness",
    "video_training_suitability_score",
    "motion_score_per_patch_min_256",
    "text_to_video_alignment",
    "factual_consistency",
    "matching_score",
    "desirable_filtering",
    "camera_motion",
    "timestamp",
)  # kept in the components column, not used


def column_key(name: str) -> str:
    """Return the form of a column name that is compared.

    Args:
        name: Name as the file has it.

    Returns:
        Lower case, stripped, with blanks, hyphens, slashes and dots as underscores.
    """
    return re.sub(r"[ \-/.]", "_", name.strip().lower())


def find_column(columns: Iterable[str], aliases: Sequence[str]) -> str | None:
    """Find a column by its aliases.

    Args:
        columns: Names as the file has them.
        aliases: Keys in order of preference, as `column_key` gives them.

    Returns:
        The name as the file has it, or None when there is no such column.

    Raises:
        InputError: If two columns match the alias found.
    """
    for alias in aliases:
        found = [name for name in columns if column_key(name) == alias]
        if len(found) > 1:
            raise InputError(
                f"columns {found[0]!r} and {found[1]!r} are the same name; rename one"
            )
        if found:
            return found[0]
    return None
