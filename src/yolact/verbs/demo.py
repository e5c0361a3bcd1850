"""`yolact demo`."""

import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from yolact.verbs.runtime_choice import RuntimeChoice
from yolact.verbs.wording import one_line

MOST_EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Open a page on this machine: photographs and videos in, masks out, and how each mask is mixed to play with."""

    port: int = 7860
    """Where the page is served. If it is taken, another is chosen; 0 takes any."""

    compare: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WEIGHTS [WEIGHTS ...]")] = ()
    """Other models to put beside the first: what --weights takes."""

    examples: Path | None = None
    """A folder of photographs to begin with; its first ten. None: those of the repository, if it is there."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        from yolact.apps.demo.server import LOOPBACK, listen, prepared, require_gradio

        require_gradio()
        listener, was_taken = listen(self.port)
        with listener:
            from yolact.apps.demo.models import Models
            from yolact.predictor import load

            photographs = self._photographs()
            others = {  # the same file twice is shown once
                name: load(weights, self.model.device, precision=self.model.precision)
                for name, weights in zip(self._names(), self.compare, strict=True)
            }
            models = Models(self.model.load(), others)
            if was_taken:
                print(f"port {self.port} is taken; another was chosen")
            for name in ("SIGTERM", "SIGHUP"):  # end as with Ctrl-C: visitors' files are removed
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), signal.default_int_handler)
            with prepared(models, photographs) as server:
                warming = threading.Thread(target=models.warm_up)  # Python waits for it: its end may not be cut off
                warming.start()
                print(f"http://{LOOPBACK}:{listener.getsockname()[1]} (stop with Ctrl-C)", flush=True)
                server.run(sockets=[listener])
        return 0

    def _names(self) -> list[str]:
        """What the page calls the models to compare with: their files, or what was given where two are called alike."""
        short = [Path(weights).stem if Path(weights).suffix else weights for weights in self.compare]
        return [name if short.count(name) == 1 else weights for name, weights in zip(short, self.compare, strict=True)]

    def _photographs(self) -> list[Path]:
        from yolact.apps.demo.models import check_photograph
        from yolact.images import read_image
        from yolact.sources import find_images

        folder = self.examples or Path(__file__).resolve().parents[3] / "photos"
        if self.examples is None and not folder.is_dir():
            return []
        photographs = find_images(folder)
        sound: list[Path] = []
        for path in photographs:
            if len(sound) == MOST_EXAMPLES:
                break
            try:
                check_photograph(path)
                read_image(path)
            except (ValueError, OSError) as error:
                print(f"skipped: {one_line(error)}", file=sys.stderr)
            else:
                sound.append(path)
        return sound
