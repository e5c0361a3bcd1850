"""Weights on disk and on the hub: save, load, download. The config travels with the weights, in one file."""

import difflib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from yolact import convert
from yolact.config import ModelConfig
from yolact.model import Yolact, build_model
from yolact.presets import PRESETS
from yolact.printable import printable
from yolact.weights_file import FORMAT, read_original, read_safetensors
from yolact.whole_files import written_whole

SHIPPED = "yolact-people"
"""The weights inside the package, which `load()` gives when it is asked for nothing else."""

HUB_FILE = "model.safetensors"
"""What a hub repository of ours calls its weights."""

_log = logging.getLogger(__name__)


def save(
    path: str | Path, network: Yolact, metadata: Mapping[str, str] | None = None, dtype: torch.dtype | None = None
) -> Path:
    """Write the weights and the whole config, class names included, into one `.safetensors` file.

    The file appears at once and complete, or not at all: it is written beside `path` and then renamed.

    Args:
        path: ends in `.safetensors`; missing folders are made.
        network: on any device.
        metadata: more to keep in the header, such as the figures it was measured at.
        dtype: `torch.float16` halves the file. Convolutions only: biases and batch norm are small, and lose range.

    Returns:
        The path.

    Raises:
        ValueError: another suffix, or a weight that `dtype` cannot hold.
        OSError: the file cannot be written.
    """
    import safetensors.torch

    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} should end in .safetensors")
    tensors = {name: _shrink(name, value, dtype) for name, value in network.state_dict().items()}
    header = {**(metadata or {}), "yolact_format": FORMAT, "config": json.dumps(network.config.to_dict())}
    with written_whole(path, lasting=True) as unfinished:
        # Not `save_file`: that makes files which nobody but their owner can read.
        unfinished.write_bytes(safetensors.torch.save(tensors, header))
    return path


def load(
    source: str | Path | None = None, *, preset: str | None = None, class_names: Sequence[str] | None = None
) -> Yolact:
    """A network with its weights, in evaluation mode, on the CPU, in float32.

    Args:
        source: nothing (the weights in this package), a preset such as `yolact-resnet50` (the published weights,
            downloaded and converted once), a `.safetensors` file of ours, a `.pth` file of the original code, or a hub
            repository `owner/name` with a `model.safetensors` of ours.
        preset: of a `.pth` file, the model it is, where its tensors cannot tell (see `yolact.convert`).
        class_names: of a `.pth` file, its classes in the order of their labels.

    Raises:
        FileNotFoundError: no such file, or no network to download it over; the message says where to put it.
        ValueError: neither of these, or a file that is damaged or holds something else.
    """
    text = SHIPPED if source is None else str(source)
    if text == SHIPPED:
        return _load_shipped()
    path = Path(text).expanduser()
    if isinstance(source, str) and text in PRESETS:
        _only_for_pth(text, preset, class_names)
        return _load_preset(text)
    if path.exists() or isinstance(source, Path) or _looks_like_a_file(text):
        return _load_file(path, preset, class_names)
    _only_for_pth(text, preset, class_names)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return _load_hub(text)
    close = difflib.get_close_matches(text, [*PRESETS, SHIPPED], cutoff=0.4)
    remedy = f"did you mean {' or '.join(close)}?" if close else f"presets are {', '.join(PRESETS)}"
    raise ValueError(f"{text!r} is neither a file nor a preset; {remedy}")


def load_matching(network: Yolact, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy every tensor that has the same name and shape: the start of fine-tuning for other classes.

    Args:
        network: changed in place.
        state: the state dict of a trained network of ours, such as `load("yolact-resnet50").state_dict()`.

    Returns:
        The names of the network's tensors that were not loaded and keep their values: for another number of classes
        those of `head.class_logits`, `semantic` and the last layer of `mask_rescoring`.

    Raises:
        ValueError: not one tensor matches.
    """
    own = network.state_dict()
    matching = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not matching:
        raise ValueError(f"no tensor of the weights fits {network.config.name}; are they of the same backbone?")
    network.load_state_dict(matching, strict=False)
    return tuple(name for name in own if name not in matching)


def convert_file(
    source: str | Path,
    out: str | Path | None = None,
    preset: str | None = None,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Convert a published `.pth` into our `.safetensors`, and print what it was recognized as.

    Args:
        source: the `.pth` file; `preset` and `class_names` say of it what its tensors cannot, as in `load`.
        out: the file to write, and return; beside the source if not given.

    Errors are those of `load`.
    """
    source = Path(source).expanduser()
    network = _from_original(source, preset, class_names)
    config = network.config
    path = save(out or source.with_suffix(".safetensors"), network, {"converted_from": source.name})
    shown = ", ".join(map(printable, config.class_names[:3])) + (", ..." if config.num_classes > 3 else "")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{source.name}: {config.name}, {config.num_classes} classes ({shown}), {parameters:,} parameters")
    for note in convert.assumptions(source, config, preset, class_names):
        print(f"note: {note}")
    print(f"written: {path}")
    return path


def cache_folder() -> Path:
    """Where converted weights are kept and a `.pth` put by hand is found: YOLACT_CACHE, or ~/.cache/yolact."""
    return Path(os.environ.get("YOLACT_CACHE") or "~/.cache/yolact").expanduser()


def _load_shipped() -> Yolact:
    path = Path(__file__).parent / "weights" / f"{SHIPPED}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"this installation has no {path}; install yolact again, or name weights to load")
    return _assemble(*read_safetensors(path))


def _load_file(path: Path, preset: str | None, class_names: Sequence[str] | None) -> Yolact:
    if path.suffix != ".safetensors" or path.is_dir():
        network = _from_original(path, preset, class_names)
        for note in convert.assumptions(path, network.config, preset, class_names):
            _log.warning("%s: %s", path, note)
        return network
    _only_for_pth(str(path), preset, class_names)
    return _assemble(*read_safetensors(path))


def _load_preset(name: str) -> Yolact:
    """The converted file of the cache; or else the `.pth`, of the cache or the hub, converted into it."""
    entry, config = PRESETS[name], PRESETS[name].build()
    converted = cache_folder() / f"{name}.safetensors"
    if converted.is_file():
        try:
            return _assemble(*read_safetensors(converted, config))
        except ValueError as error:  # damaged, or written by an older version: make it again
            _log.warning("%s; converting it again", error)
    if entry.hub_repository is None or entry.hub_file is None:
        raise ValueError(f"{name} has no published weights: train it, or load a file of it by its path")
    by_hand = cache_folder() / entry.hub_file
    network = _from_original(by_hand if by_hand.is_file() else _download(entry.hub_repository, entry.hub_file), name)
    try:
        save(converted, network, {"converted_from": entry.hub_file, "license": entry.licence})
    except OSError as error:  # a read-only home should not keep anyone from predicting
        _log.warning("cannot keep the converted weights (%s); set YOLACT_CACHE to a folder that can be written", error)
    return network


def _load_hub(repository: str) -> Yolact:
    published = [name for name, entry in PRESETS.items() if entry.hub_repository == repository]
    return _load_preset(published[0]) if published else _assemble(*read_safetensors(_download(repository, HUB_FILE)))


def _download(repository: str, file: str) -> Path:
    """Through the hub's own cache, so that what other programs downloaded is found, also without a network."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    url = hf_hub_url(repository, file, endpoint=endpoint)
    offline: Exception | None = None
    try:
        get_hf_file_metadata(url)  # asks once, where the download would try for half a minute before it gives up
    except (RepositoryNotFoundError, EntryNotFoundError) as error:
        raise FileNotFoundError(f"the hub has no {file} in {repository} that you may read") from error
    except Exception as error:  # the client has changed its HTTP library twice, and with it what it raises
        offline = error
    try:
        return Path(hf_hub_download(repository, file, endpoint=endpoint, local_files_only=offline is not None))
    except Exception as error:
        place = f"put it at {cache_folder() / file}" if file != HUB_FILE else "load it by its path"
        reason = " ".join(str(offline or error).split())[:80] or type(error).__name__
        raise FileNotFoundError(f"cannot download {file} ({reason}): get {url} and {place}") from error


def _from_original(path: Path, preset: str | None = None, class_names: Sequence[str] | None = None) -> Yolact:
    state = read_original(path)
    try:
        config, tensors = convert.convert(state, preset, class_names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _assemble(convert.size_by_name(path, config, preset), tensors)


def _assemble(config: ModelConfig, tensors: Mapping[str, Tensor]) -> Yolact:
    with torch.random.fork_rng(devices=[]):  # the random weights that are replaced at once should cost no one a number
        network = build_model(config)
    network.load_state_dict(tensors)  # copies, so that half precision becomes float32
    return network.eval()


def _shrink(name: str, value: Tensor, dtype: torch.dtype | None) -> Tensor:
    value = value.detach().cpu().contiguous()
    if dtype is None or value.ndim < 2:
        return value
    small = value.to(dtype)
    if not torch.isfinite(small).all() and torch.isfinite(value).all():
        raise ValueError(f"{name} reaches {value.abs().max():.3g}, which {dtype} cannot hold; save it in float32")
    return small


def _looks_like_a_file(text: str) -> bool:
    suffixes = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".onnx")
    return text.lower().endswith(suffixes) or text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1


def _only_for_pth(source: str, preset: str | None, class_names: Sequence[str] | None) -> None:
    if preset is not None or class_names is not None:
        raise ValueError(f"preset and class_names are for .pth files; {source!r} knows its own")
