"""The process that is `authctl`, and `python -m authctl`: what no part of a program that calls us may do.

The garbage collector rests while modules are loaded, since all of that stays; and the process ends as soon as its last word is
written, since taking an interpreter apart takes longer than most commands.
"""

import gc
import os
import sys

gc.disable()

from authctl.cli.app import run  # noqa: E402  # with the collector at rest


def main() -> None:
    """The `authctl` command."""
    for descriptor in range(3):
        _keep_open(descriptor)
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()
    code = run(sys.argv[1:])
    for stream in streams:
        stream.flush()
    os._exit(code)  # decision 102


def _keep_open(descriptor: int) -> None:
    """Fill a standard descriptor that the caller closed, so that no file of ours can take its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
