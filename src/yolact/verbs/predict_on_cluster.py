"""What `yolact predict --ray` does."""

import re
import time
from typing import TYPE_CHECKING

from yolact.verbs.video_options import VideoOptions

if TYPE_CHECKING:
    from yolact.verbs.predict import Predict


def run_on_cluster(options: "Predict") -> int:
    """Write the results of one source, and a line on what was found.

    Raises:
        ValueError: an option that has no meaning there; and what `yolact.apps.cluster.prediction` raises.
    """
    if len(options.sources) != 1:
        raise ValueError(f"--ray takes one source, not {len(options.sources)}; give a folder or a glob in quotes")
    if options.cutouts or options.video != VideoOptions():
        raise ValueError("--ray writes Parquet files of photographs; leave --cutouts and options of videos out")
    try:
        from yolact.apps.cluster.prediction import predict_on_ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; install Ray with: pip install 'yolact[ray]'") from None
    from yolact.apps.cluster.model_files import pack_model

    model = options.model
    if model.device != "auto":
        raise ValueError(f"device is {model.device}; with --ray, --ray.gpus says what computes: leave --device out")
    start = time.perf_counter()
    out = re.sub(r"^([a-z][a-z0-9+.-]+):/(?=[^/])", r"\1://", str(options.out))  # of two slashes, Path leaves one
    packed = pack_model(model.weights, model.runtime, model.precision, model.compile)
    done = predict_on_ray(options.sources[0], out, packed, options.request, options.batch_size, options.cluster)
    seconds = time.perf_counter() - start
    earlier = f", {done.earlier} of them by an earlier run" if done.earlier else ""
    failed = f", {done.errors} with an error" if done.errors else ""
    print(
        f"{done.images} photograph{'s' * (done.images != 1)}{earlier}, in {seconds:.1f} s{failed};"
        f" {done.instances} instances; results in {out}"
    )
    return 1 if done.errors else 0
