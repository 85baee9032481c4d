"""The instants at which the frames of a video are shown.

A container stamps frames in ticks of its own, as coarse as a millisecond (Matroska,
WebM) or a hundredth of a second (GIF). Where it also states a rate, a stamp that lies
within one tick of that rate's grid stands for the instant on the grid: so the same
frames have the same instants in every container. Any other stamp is taken as it is. A
rate alone decides nothing.

AVI and ASF (WMV) stamp frames in the order of decoding. Frames come out of the decoder
in the order of showing, at the instants at which the next one went in: so the stamps of
decoding, which only rise, serve.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from tqd_probe.core.errors import BadClip

DECODING_ORDER = {"avi", "asf"}  # FFmpeg's names of the formats


class FrameTimes:
    """Gives the frames of one file their times, in the order of showing."""

    def __init__(self, path: Path, stream: av.VideoStream, container: str) -> None:
        """Start before the first frame.

        Args:
            path: The file, for messages.
            stream: The stream of pictures.
            container: FFmpeg's name of the file's format.
        """
        self._path = path
        self._by_decoding = container in DECODING_ORDER
        self._tick = Fraction(stream.time_base or 0)
        rate = stream.average_rate or stream.guessed_rate
        self._step = 1 / Fraction(rate) if rate else None
        self._first: Fraction | None = None
        self._last = Fraction(0)
        self._duration = Fraction(0)

    def of(self, frame: av.VideoFrame, number: int) -> tuple[Fraction, Fraction]:
        """Return when a frame is shown, and for how long by what the file says.

        Args:
            frame: The frame after those given before.
            number: Its number, for messages.

        Returns:
            Seconds from the first frame, and seconds; 0 where no duration is known.

        Raises:
            BadClip: If the file does not say when the frame is shown, or says that it
                is shown before the frame in front of it.
        """
        duration = self._snapped(frame.duration * self._tick)
        stamp = frame.pts
        if stamp is None or self._by_decoding:
            stamp = frame.dts
        if stamp is None or self._first is None:
            # Frames before the first stamp, as before 0 in Matroska, lead up to it.
            time = self._following(number)
        if stamp is not None:
            stamped = stamp * Fraction(frame.time_base or self._tick)
            if self._first is None:
                self._first = stamped - time
            time = self._snapped(stamped - self._first)
        if time < self._last:
            raise BadClip(
                f"{self._path}: timestamps: frame {number} is stamped"
                f" {float(self._last - time):.3f} s before the frame in front of it;"
                " re-encode the file"
            )
        self._last, self._duration = time, duration
        return time, duration

    def _following(self, number: int) -> Fraction:
        """Return when a frame without a stamp is shown: after the one before.

        Raises:
            BadClip: If neither that one's duration nor a rate is known.
        """
        if not number:
            return Fraction(0)
        step = self._duration or self._step
        if not step:
            raise BadClip(
                f"{self._path}: timestamps: frame {number} has none, and the file"
                " states no frame rate; re-encode it"
            )
        return self._last + step

    def _snapped(self, time: Fraction) -> Fraction:
        """Return the nearest instant of the stated rate if it is within one tick."""
        # With ticks nearly as long as a frame, every stamp would be near the grid.
        if self._step is None or 4 * self._tick > self._step:
            return time
        grid = round(time / self._step) * self._step
        return grid if abs(grid - time) <= self._tick else time
