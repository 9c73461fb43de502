"""`python -m tests.local_supabase [--port N] [--data DIR]` gives a project to try the product on, until Ctrl-C."""

import argparse
import contextlib
import signal
import sys
from pathlib import Path

from tests.local_supabase import LocalSupabase
from tests.local_supabase.processes import CannotStartError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.local_supabase", description=__doc__)
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: any free port")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep data and keys there; default: keep nothing")
    chosen = parser.parse_args()
    data = chosen.data.absolute() if chosen.data else None

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start in the background ignore it
    try:
        with LocalSupabase(data=data, port=chosen.port) as project, contextlib.suppress(KeyboardInterrupt):
            lines = f"SUPABASE_URL={project.url}\nSUPABASE_KEY={project.secret_key}"
            print(lines, flush=True)  # noqa: T201 - what the command is for
            signal.pause()
    except (CannotStartError, OSError) as exc:
        sys.exit(f"The local Supabase cannot start: {exc}")


if __name__ == "__main__":
    main()
