import warnings

import diffusers
import transformers

from tqd_probe.core.library_logging import silence_libraries


def test_only_errors_of_libraries_are_shown():
    loggers = [diffusers.utils.logging, transformers.utils.logging]
    before = [each.get_verbosity() for each in loggers]
    try:
        for each in loggers:
            each.set_verbosity_info()
            each.enable_progress_bar()
        with warnings.catch_warnings():
            silence_libraries()
        assert [each.get_verbosity() for each in loggers] == [40, 40]  # logging.ERROR
        assert not transformers.utils.logging.is_progress_bar_enabled()
    finally:
        for each, level in zip(loggers, before):
            each.set_verbosity(level)
            each.enable_progress_bar()
