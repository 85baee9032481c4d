"""Locks on files, so that two processes do not write into one place."""

from __future__ import annotations

import errno
import fcntl
import logging
import sys
from pathlib import Path
from typing import IO, Any

HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
log = logging.getLogger("tqd_probe")


def lock_file(handle: IO[Any], place: Path) -> bool:
    """Lock an open file until it is closed or the process ends.

    Some file systems have no locks (Lustre without its mount option, some FUSE and
    NFS). There the work goes on without one, and a warning says so.

    Args:
        handle: The open file.
        place: What the lock stands for, for the warning.

    Returns:
        False if another process holds the lock.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        text = (
            f"{place}: locks do not work on this file system ({error.strerror}); do not"
            " let a second command write there"
        )
        log.warning(text)
        print(f"warning: {text}", file=sys.stderr, flush=True)
    return True
