"""`python -m tidemill …`: the command `tidemill`, for pipeline files that name components in Python."""

from __future__ import annotations

import os
import signal
import sys

from . import _native


def main() -> None:
    # The engine stops a run on Ctrl-C; Python would only note that it was pressed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = _native.command(["tidemill", *sys.argv[1:]])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of components that are asleep are not waited for.
    os._exit(code)


if __name__ == "__main__":
    main()
