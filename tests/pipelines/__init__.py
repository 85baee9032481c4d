"""Complete small pipelines of every class, with random weights.

Built from diffusers' and transformers' own configuration classes and saved with
`save_pretrained`, so that tests load them as users load theirs. Zero and one
initialisations are disturbed: they would hide faults.
"""

import json

import numpy
import torch

from pipelines.cogvideox import cogvideox, cogvideox_15, cogvideox_rotary
from pipelines.hunyuan_video import hunyuan_video, hunyuan_video_15
from pipelines.ltx import ltx
from pipelines.wan import (
    wan,
    wan_experts,
    wan_image,
    wan_image_experts,
    wan_image_tokens,
    wan_tokens,
)

# name: builder, (frames, height, width, fps) of its native clips
PIPELINES = {
    "wan": (wan, (5, 32, 32, 16)),
    "wan_experts": (wan_experts, (5, 32, 32, 16)),
    "wan_tokens": (wan_tokens, (5, 32, 32, 16)),
    "wan_image": (wan_image, (5, 32, 32, 16)),
    "wan_image_experts": (wan_image_experts, (5, 32, 32, 16)),
    "wan_image_tokens": (wan_image_tokens, (5, 32, 32, 16)),
    "cogvideox": (cogvideox, (9, 32, 32, 16)),
    "cogvideox_rotary": (cogvideox_rotary, (9, 32, 32, 16)),
    "cogvideox_15": (cogvideox_15, (9, 32, 32, 16)),
    "ltx": (ltx, (9, 32, 32, 16)),
    "hunyuan_video": (hunyuan_video, (5, 32, 32, 16)),
    "hunyuan_video_15": (hunyuan_video_15, (5, 32, 32, 16)),
}


def build(name, folder):
    """Save the pipeline of a name; return its folder."""
    builder, shape = PIPELINES[name]
    torch.manual_seed(11)
    builder().save_pretrained(folder)
    keys = ("num_frames", "height", "width", "fps")
    (folder / "native_clip.json").write_text(json.dumps(dict(zip(keys, shape))))
    return folder


def first_frames(model, count=2):
    """First frames for image-to-video, None for text-to-video."""
    if not model.takes_images:
        return None
    from tqd_probe.clips.synthetic import synthetic_clip

    clips = [synthetic_clip(i, 1).read(model.native) for i in range(count)]
    return numpy.stack([clip[0] for clip in clips])
