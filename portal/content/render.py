"""Run as a child process: `python -m portal.content.render FILE FOLDER` writes one image per page.

Limits on memory and processor time are set before the file is opened.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

WIDTH = 1240
MAX_PAGES = 500
MEMORY = 2 * 1024**3
PROCESSOR_SECONDS = 110


def main(source: str, folder: str) -> int:
    """Write `1.webp`, `2.webp`, ... and print the number of pages as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    import pypdfium2

    document = pypdfium2.PdfDocument(source)
    pages = len(document)
    if not 0 < pages <= MAX_PAGES:
        sys.stderr.write(f"The file has {pages} pages; up to {MAX_PAGES} can be shown.\n")
        return 1
    for index in range(pages):
        page = document[index]
        scale = WIDTH / max(page.get_width(), 1)
        # Very tall pages are scaled down so that one image stays within 40 megapixels.
        scale = min(scale, 8, 32000 / max(page.get_height(), 1))
        image = page.render(scale=scale).to_pil()
        image.save(Path(folder) / f"{index + 1}.webp", quality=80, method=2)
        page.close()
    sys.stdout.write(json.dumps({"pages": pages}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
