"""What each worker process of the server imports: the application, ready to answer."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading

from portal import create_app, logs
from portal.config import Settings


def end_with_parent() -> None:
    """End this process when the one that started it has gone.

    A worker that outlives a killed server would keep the port, and the next start would fail.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="end-with-parent").start()


settings = Settings.from_environ()
logs.configure(settings.log_level)
end_with_parent()
app = create_app(settings)
# What stays for good is not looked through for garbage again: that took 90 ms of a request each
# time.
gc.freeze()
threading.Thread(
    target=app.extensions["portal_beacon"].write_refusals,
    args=[threading.main_thread()],
    name="write-refusals",
).start()
