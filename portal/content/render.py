"""Run as a child process: `python -m portal.content.render FOLDER WIDTH EFFORT` makes the images of
the pages of all PDFs in the folder.

Limits on memory and processor time are set before a file is opened.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

MAX_PAGES = 500
MEMORY = 2 * 1024**3
PROCESSOR_SECONDS = 110


def main(folder: Path, width: int, effort: int) -> int:
    """Write `NAME-1.webp`, `NAME-2.webp`, ... for each `NAME.pdf`, and print the number of pages by
    name as JSON. Images are `width` pixels wide; `effort` is how hard to try to make their files
    small, from 0 to 6."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    import pypdfium2

    found = {}
    for source in sorted(folder.glob("*.pdf")):
        document = pypdfium2.PdfDocument(source)
        found[source.stem] = pages = len(document)
        if not 0 < pages <= MAX_PAGES:
            sys.stderr.write(f"The file has {pages} pages; up to {MAX_PAGES} can be shown.\n")
            return 1
        for index in range(pages):
            page = document[index]
            scale = width / max(page.get_width(), 1)
            # Very tall pages are scaled down so that one image stays within 40 megapixels.
            scale = min(scale, 8, 32000 / max(page.get_height(), 1))
            # In the order of bytes that an image wants, so that nothing has to be turned round.
            bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)
            image = bitmap.to_pil()
            image.save(folder / f"{source.stem}-{index + 1}.webp", quality=80, method=effort)
            page.close()
        document.close()
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
