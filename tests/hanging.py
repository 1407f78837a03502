"""A scheduler with one duty that hangs on its first run, to be started as a process."""

from __future__ import annotations

import time
from datetime import timedelta

from portal import create_app, jobs, logs, server
from portal.config import Settings
from portal.runner import Job


def main() -> None:
    """Run it until it is told to stop."""
    settings = Settings.from_environ()
    logs.configure("info")
    mark = settings.data_dir / "began"

    def hangs() -> int:
        if mark.exists():
            print("second run", flush=True)
            return 1
        mark.touch()
        print("first run", flush=True)
        while True:
            time.sleep(1)

    def quick() -> int:
        print("quick", flush=True)
        return 1

    jobs.JOBS.clear()
    jobs.JOBS["hangs"] = Job("hangs", hangs, timedelta(seconds=1), lease=timedelta(seconds=2.5))
    jobs.JOBS["quick"] = Job("quick", quick, timedelta(milliseconds=100))
    server.schedule(create_app(settings))


if __name__ == "__main__":
    main()
