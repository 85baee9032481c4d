"""The schedule that a training follows: read, checked, and turned into draws."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.quality_beta import KAPPA_BASE, KAPPA_MAX
from tqd_probe.models.base import VideoModel
from tqd_probe.models.lora_file import find_lora_file, fingerprint_with_lora
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.beta import kappa_max_from_fits
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler, measured_density
from tqd_probe.sampling.timestep_sampler import TimestepSampler
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.settings import TrainRunSettings

log = logging.getLogger("tqd_probe")


def load_schedule(settings: TrainRunSettings, model: VideoModel) -> BandSchedule | None:
    """Read the schedule and check that it was measured on this model.

    Args:
        settings: The run's settings.
        model: The model to be trained.

    Returns:
        The schedule, or None.

    Raises:
        InputError: If weights, family, prediction or expert differ.
    """
    if settings.schedule is None:
        return None
    schedule = BandSchedule.load(settings.schedule)
    if "measured" in (settings.sampler, settings.base):
        measured_density(schedule, str(settings.schedule))  # refuses one without it
    _check_expert(settings.schedule, schedule.model.expert, model.expert)
    target = schedule.carried_to
    fingerprint = model.fingerprint
    if settings.init_lora is not None:  # of the weights alone, or with the LoRA on them
        file = find_lora_file(settings.init_lora, "--init-lora")
        whole = fingerprint_with_lora(fingerprint, file, settings.lora_alpha)
        if schedule.model.fingerprint == whole:
            fingerprint = whole
    try:
        schedule.check_model(fingerprint, settings.allow_model_mismatch)
    except InputError as error:
        raise InputError(f"{settings.schedule}: {error}") from None
    of = target or schedule.model
    for field, stated, ours in (
        ("prediction", of.prediction, model.prediction),
        ("family", of.family, model.family),
    ):
        if stated != ours and not (settings.allow_model_mismatch and field == "family"):
            raise InputError(
                f"{settings.schedule}: {'carried_to' if target else 'model'}.{field}:"
                f" {stated!r}, this model's is {ours!r}; levels do not carry over by"
                " themselves: measure the schedule on this model, or use"
                " tqd_probe.schedules.carry_over"
            )
    if target is not None:
        log.warning(
            "%s: measured on %s (%s) and carried over at equal logsnr (latent scale"
            " %g) to %s (%s); nothing was measured there",
            settings.schedule,
            schedule.model.source,
            schedule.model.family,
            target.scale,
            target.source,
            target.family,
        )
    if settings.shift is not None and settings.shift != schedule.noise.shift:
        log.warning(
            "--shift %g: the schedule was measured with shift %g; its bands are"
            " intervals of sigma and stay where they are",
            settings.shift,
            schedule.noise.shift,
        )
    return schedule


def _check_expert(path: Path | None, stated: str | None, ours: str | None) -> None:
    """Refuse a schedule of another expert, whatever mismatch is allowed."""
    if stated == ours:
        return
    theirs, this = (
        f"the expert for {name} noise" if name else "a single network"
        for name in (stated, ours)
    )
    option = f" with --expert {ours}" if ours else " on this checkpoint"
    raise InputError(
        f"{path}: model.expert: measured on {theirs}, this is {this}; experts have"
        " levels and weights of their own, so that --allow-model-mismatch does not"
        f" apply: measure the schedule{option}"
    )


class ScheduleInUse:
    """The schedule that a training follows at present, and its draws.

    Attributes:
        schedule: The schedule, or None.
        draws: The draws that follow it.
        resolved: Sampler settings that were derived, such as ``kappa_max``.
        notes: Sentences on where derived settings come from.
    """

    schedule: BandSchedule | None
    draws: DrawStream
    resolved: dict[str, Any]
    notes: list[str]

    def __init__(
        self,
        settings: TrainRunSettings,
        clips: ClipPool,
        sigma_range: tuple[float, float],
        schedule: BandSchedule | None,
        timesteps: np.ndarray | None = None,
    ) -> None:
        """Build the draws.

        Args:
            settings: The run's settings.
            clips: Classes and scores of the training clips.
            sigma_range: Levels trained.
            schedule: The schedule training starts with, or None.
            timesteps: Levels of the family's discrete timesteps; None without.
        """
        self._timesteps = timesteps
        self._settings, self._clips, self._sigma_range = settings, clips, sigma_range
        self.follow(schedule)

    def follow(self, schedule: BandSchedule | None) -> DrawStream:
        """Follow a schedule from now on; nothing changes when it does not fit.

        Args:
            schedule: The schedule, or None.

        Returns:
            The draws.

        Raises:
            InputError: If the schedule does not fit the clips.
        """
        settings, clips = self._settings, self._clips
        resolved: dict[str, Any] = {}
        notes: list[str] = []
        if settings.sampler == "beta" and settings.kappa_max is None:
            base = settings.kappa_base or KAPPA_BASE[str(settings.base)]
            if schedule is None:
                kappa_max = KAPPA_MAX
                note = (
                    f"--kappa-max not given: {KAPPA_MAX:g}, a common value (none is"
                    " published); a --schedule gives a measured one"
                )
            else:
                density = self._sampler(schedule, {}, self._sigma_range).base
                assert isinstance(density, BaseDensity)  # of the sampler beta
                kappa_max, note = kappa_max_from_fits(schedule, clips, base, density)
            resolved = {"kappa_max": kappa_max, "kappa_base": base}
            notes = [note]
        measured = "measured" in (settings.sampler, settings.base)
        if self._timesteps is not None and settings.space == "u" and not measured:
            notes.append(
                f"--space u: densities are of the {len(self._timesteps)} timesteps that"
                " the family trains; --space sigma states them of sigma"
            )
        draws = self._draws(schedule, resolved, self._sigma_range)
        base_shift, order = draws.sampler.base.shift, draws.sampler.order
        self.resolved = resolved | {"shift": base_shift, "order": order}
        self.schedule, self.draws, self.notes = schedule, draws, notes
        return draws

    def over_range(self, sigma_range: tuple[float, float]) -> DrawStream:
        """Return the draws of the same sampler over other levels.

        Args:
            sigma_range: Lowest and highest level.

        Returns:
            The draws; those in use stay as they are.
        """
        return self._draws(self.schedule, self.resolved, sigma_range)

    def _draws(
        self,
        schedule: BandSchedule | None,
        resolved: dict[str, Any],
        sigma_range: tuple[float, float],
    ) -> DrawStream:
        """Build the sampler and its draws."""
        sampler = self._sampler(schedule, resolved, sigma_range)
        return DrawStream(sampler, self._clips, self._settings.seed)

    def _sampler(
        self,
        schedule: BandSchedule | None,
        resolved: dict[str, Any],
        sigma_range: tuple[float, float],
    ) -> TimestepSampler:
        """Build the sampler."""
        settings = self._settings
        return make_sampler(
            settings.sampler,
            schedule=schedule,
            base=settings.base,
            logit_mean=settings.logit_mean,
            logit_std=settings.logit_std,
            shift=settings.shift,
            space=settings.space,
            kappa_base=settings.kappa_base,
            kappa_max=resolved.get("kappa_max", settings.kappa_max),
            order=settings.order,
            sigma_range=sigma_range,
            timesteps=self._timesteps,
        )
