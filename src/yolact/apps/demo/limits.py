"""What the page takes on, so that one visitor cannot use up the machine of all."""

LARGEST_FILE = 100 * 2**20
"""Bytes of an uploaded file."""

LARGEST_PHOTOGRAPH = 64_000_000
"""Pixels. One of them takes three bytes while the network looks at it."""

SHOWN_SIDE = 1100
"""Pixels of the longer side of pictures on the page. Downloads are as large as the photograph."""

LONGEST_VIDEO = 60.0
"""Seconds."""

VIDEO_SIDE = 1920
"""Pixels of the longer side of a video."""

MOST_VISITORS = 64
"""Photographs that are remembered at once; the one that was used least recently is forgotten first."""

REMEMBERED = 3600.0
"""Seconds that a photograph is remembered after it was last used."""

CLEANED_EVERY = 600.0
"""Seconds between looks for what is to be forgotten."""

UPLOADS_KEPT = 4800.0
"""Seconds that uploaded files, and Gradio's copies of written ones, are kept."""

WRITTEN_KEPT = 600.0
"""Seconds that written files are kept where they were written; what visitors download is Gradio's copy."""

LIVE_SECONDS = 120
"""Seconds of a live camera before its place goes to the next visitor."""
