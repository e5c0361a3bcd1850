"""What a network starts from: trained weights of ours, or an ImageNet backbone."""

import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor

from yolact import checkpoint
from yolact.model import Yolact
from yolact.model.backbone import RESNET_BLOCKS
from yolact.training.config import TrainConfig


def initialize(network: Yolact, config: TrainConfig) -> str:
    """Load what `config` asks for into a network with random weights, and say in one line what was loaded.

    Raises:
        ValueError: a file that does not fit, or a download that failed although it was asked for.
    """
    if config.init is not None:
        missing = checkpoint.load_matching(network, checkpoint.load(config.init).state_dict())
        parts = sorted({name.rsplit(".", 1)[0] for name in missing})
        return f"starting from {config.init}" + (f", except for {', '.join(parts)}" if parts else "")
    wanted = config.backbone_weights
    if wanted == "none":
        return "starting from random weights"
    if wanted in ("auto", "imagenet"):
        try:
            state, origin = _download(network.config.backbone)
        except ValueError as error:
            if wanted == "imagenet":
                raise
            return f"starting from random weights ({error})"
    else:
        state, origin = _read(Path(wanted).expanduser()), wanted
    load_backbone(network, state, origin)
    return f"backbone from {origin}"


def load_backbone(network: Yolact, state: Mapping[str, Tensor], origin: str) -> None:
    """Fill the backbone from the state dict of an image classifier; its classifier is left over.

    Names are torchvision's or timm's, also below a common prefix such as `backbone.`. If no name fits at all but the
    shapes do, one after the other, in the order of timm's own classifier, then that order decides: several ports of
    EfficientNet name the same tensors differently.

    Raises:
        ValueError: neither names nor shapes fit.
    """
    backbone = network.backbone
    prefix = "" if network.config.backbone in (*RESNET_BLOCKS, "darknet53") else "features."
    own = {name.removeprefix(prefix): value for name, value in backbone.state_dict().items()}
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    found = _by_name(own, state) or _by_order(own, state, network.config.backbone)
    needed = {n for n in own if not n.endswith(("num_batches_tracked", "conv2.bias")) and "offset_mask" not in n}
    missing = sorted(needed - set(found))
    if missing:
        raise ValueError(
            f"{origin} does not fit the backbone {network.config.backbone}: {len(missing)} of {len(needed)} tensors"
            f" are not in it, such as {missing[0]}"
        )
    backbone.load_state_dict({prefix + name: value for name, value in found.items()}, strict=False)


def _by_name(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the same name and shape. timm's feature extractors write `stages_0` for `stages.0`."""
    for prefix in ("", "backbone.", "module.", "model.", "features."):
        names = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
        names |= {_flattened(short): name for short, name in names.items()}
        found = {name: state[names[name]] for name in own if name in names}
        found = {name: value for name, value in found.items() if value.shape == own[name].shape}
        if found:
            return found
    return {}


def _by_order(own: Mapping[str, Tensor], state: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    import timm

    if not timm.is_model(backbone):
        return {}
    with torch.device("meta"):
        reference = timm.create_model(backbone).state_dict()
    shapes = [value.shape for value in reference.values()]
    if [value.shape for value in state.values()] != shapes:
        return {}
    return _by_name(own, dict(zip(reference, state.values(), strict=True)))


def _flattened(name: str) -> str:
    parts = name.split(".")
    return f"{parts[0]}_{parts[1]}." + ".".join(parts[2:]) if len(parts) > 2 and parts[1].isdigit() else name


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"backbone_weights {path} does not exist; name a file, or imagenet, auto or none")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"backbone_weights {path} cannot be read: {str(error).splitlines()[0]}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return content[key]
    if not isinstance(content, dict):
        raise ValueError(f"backbone_weights {path} holds no state dict but a {type(content).__name__}")
    return content


def _download(backbone: str) -> tuple[dict[str, Tensor], str]:
    """ImageNet weights through timm. ResNets are torchvision's own, which the original started from."""
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    name = f"{backbone}.tv_in1k" if backbone in RESNET_BLOCKS else backbone
    if not timm.is_model(backbone):
        raise ValueError(f"there are no ImageNet weights of {backbone} to download; name a file as backbone_weights")
    try:
        pretrained = timm.get_pretrained_cfg(name)
        repository = pretrained.hf_hub_id if pretrained is not None else None
        cached = repository and isinstance(try_to_load_from_cache(repository, "model.safetensors"), str)
        if not cached and not _answers(constants.ENDPOINT):
            raise ConnectionError(f"{constants.ENDPOINT} cannot be reached")
        return timm.create_model(name, pretrained=True).state_dict(), f"timm's {name}"
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"no ImageNet weights of {backbone}: {reason[:120]}; give a file of them as backbone_weights"
        ) from error


def _answers(address: str, seconds: float = 5.0) -> bool:
    """Whether a server can be reached: the hub's client would try ten times, for a minute. Behind a proxy, let it."""
    if urllib.request.getproxies():
        return True
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname, parts.port or 443), timeout=seconds):
            return True
    except OSError:
        return False
