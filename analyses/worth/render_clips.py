"""Render clips with camera motion: walks through the levels of Freedoom, in ViZDoom.

A second source of clips for `similarity_worth.py --clips DIR`: textured scenes, first
person, a camera that walks and turns all the time. No monsters, no weapon, no display.
Each clip starts where a random walk has led to since the last one; names put the levels
in turn, so that neighbours in the folder show different levels. Same seed, same clips.
ViZDoom and its levels come from PyPI and are not kept in this repository.

    pip install --no-deps vizdoom
    python -m analyses.worth.render_clips --out /tmp/rendered    # under a minute
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, script_parser
from tqd_probe.clips.frame_selection import crop_and_resize
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.core.rng import stream

LEVELS = 32  # of Freedoom 2
RATE = 35  # frames a second, the engine's own
FRAMES = 40  # 17 frames at 16 fps, and a little
SIDE = 96  # pixels; leaves room for jitter at 64
BETWEEN = 70  # frames of walking between two clips of a level
STEADY = 12  # frames that the camera keeps its course at least
LEAST_CHANGE = 4.0  # mean change of a pixel, of 255, from frame to frame
TRIES = 40  # windows looked at for one clip


def course(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw how the camera moves: forward, to the side, degrees turned a frame."""
    turn = rng.uniform(0.5, 2.5) * rng.choice([-1, 1])
    return float(rng.uniform(8, 25)), float(rng.uniform(-8, 8)), float(turn)


def words(turned: float, level: int) -> str:
    """Return the caption of a clip whose camera turned by some degrees in all."""
    way = "left" if turned < 0 else "right"
    pace = "slowly" if abs(turned) < 30 else "quickly"
    return f"a walk through building {level}, the camera turns {way} {pace}"


def new_game(level: int, seed: int) -> Any:
    """Start one level of Freedoom 2.

    Args:
        level: From 1.
        seed: Of the engine.

    Returns:
        A `vizdoom.DoomGame`.

    Raises:
        InputError: If ViZDoom is not installed.
    """
    try:
        import vizdoom
    except ImportError as error:
        raise InputError(
            "vizdoom: not installed; pip install --no-deps vizdoom"
        ) from error
    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(Path(vizdoom.__file__).parent / "freedoom2.wad"))
    game.set_doom_map(f"map{level:02d}")
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_window_visible(False)
    for part in ("hud", "weapon", "crosshair", "decals", "particles", "messages"):
        getattr(game, f"set_render_{part}")(False)
    game.set_available_buttons(
        [
            vizdoom.Button.MOVE_FORWARD_BACKWARD_DELTA,
            vizdoom.Button.MOVE_LEFT_RIGHT_DELTA,
            vizdoom.Button.TURN_LEFT_RIGHT_DELTA,
        ]
    )
    game.add_game_args("-nomonsters")
    game.set_episode_timeout(0)
    game.set_seed(seed)
    game.init()
    game.send_game_command("iddqd")  # nothing hurts the camera
    return game


def walk(game: Any, rng: np.random.Generator, frames: int) -> tuple[np.ndarray, float]:
    """Walk on, and look.

    Args:
        game: The level.
        rng: Decides the course.
        frames: How many.

    Returns:
        The square middle of what is seen ``[frames, SIDE, SIDE, 3]``, and the degrees
        turned.
    """
    seen, turned = [], 0.0
    way = course(rng)
    for number in range(frames):
        if number % STEADY == 0 and rng.random() < 0.3:
            way = course(rng)
        game.make_action(list(way))
        turned += way[2]
        image = np.asarray(game.get_state().screen_buffer)
        seen.append(crop_and_resize(image, SIDE, SIDE))
    return np.stack(seen), turned


def main() -> None:
    """Render the clips, level by level."""
    command = script_parser(__file__, __doc__)
    command.add_argument("--out", type=Path, required=True, help="folder of the clips")
    command.add_argument("--clips", type=int, default=352, help="in all")
    command.add_argument("--seed", type=int, default=0)
    args = command.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(tempfile.mkdtemp())  # the engine leaves its settings where it is started
    for level in range(1, LEVELS + 1):
        rng = stream(args.seed, "rendered", level)
        game = new_game(level, args.seed + level)
        for turn, number in enumerate(range(level - 1, args.clips, LEVELS)):
            for _ in range(TRIES):
                walk(game, rng, BETWEEN)
                video, turned = walk(game, rng, FRAMES)
                change = np.abs(np.diff(video.astype(np.int16), axis=0)).mean()
                if change >= LEAST_CHANGE:
                    break
            else:
                raise InputError(f"map{level:02d}: the camera is stuck")
            path = out / f"{turn:02d}-map{level:02d}.mp4"
            write_video(path, video, RATE)
            with staged(path.with_suffix(".txt")) as text:
                text.write_text(words(turned, level) + "\n", encoding="utf-8")
            print(f"{number} {path.name} {change:.1f}", flush=True)
        game.close()
    print(f"{args.clips} clips of {FRAMES} frames in {args.out}")


if __name__ == "__main__":
    run_script(main)
