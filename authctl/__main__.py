"""The process of `authctl` and `python -m authctl`, with the steps that a program which calls authctl must not take.

The garbage collector is off while modules are loaded, since none of them is removed again. The process ends right after its last
output, since closing the interpreter takes longer than most commands.
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
    # decision 102: closing the interpreter takes 15 ms of the 105 of a command; everything is flushed and closed by now
    os._exit(code)


def _keep_open(descriptor: int) -> None:
    """Fill a standard descriptor that the caller closed, so that no file of ours can take its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
