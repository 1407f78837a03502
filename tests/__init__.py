"""What the portal promises, as sentences."""

import atexit
import os
import shutil
import tempfile

if "XDG_RUNTIME_DIR" not in os.environ:
    # The PostgreSQL of the tests looks for a private place for its sockets when it is imported.
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="portal-runtime-")
    atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
