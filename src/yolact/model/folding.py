"""Batch norms as part of the convolutions before them: the same results, without a pass over each feature map."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from yolact.model.backbone import TimmBackbone
from yolact.model.yolact import Yolact

Pairs = list[tuple[nn.Conv2d, nn.BatchNorm2d]]

CLOSE = 1e-3
"""Of the largest value of a feature map: a hundred times what rounding moves."""


@torch.no_grad()
def fold_batch_norms(network: Yolact) -> None:
    """Fold, in place, what can be folded in the backbone of a network in evaluation mode.

    A backbone may come from a library, so which convolution feeds which batch norm is seen while it runs once. If
    something else reads a convolution's output, too, the results show it, and the backbone stays as it was.
    """
    backbone, parameter = network.backbone, next(network.parameters())
    # Backbones of others may be made for one size.
    height, width = network.config.image_size if isinstance(backbone, TimmBackbone) else (96, 96)
    generator = torch.Generator().manual_seed(0)  # of its own: loading weights changes no random numbers of others
    example = torch.rand(1, 3, height, width, generator=generator).to(parameter)
    pairs, expected = _watch(backbone, example)
    names = {module: name for name, module in backbone.named_modules()}
    for convolution, norm in pairs:
        backbone.set_submodule(names[convolution], fuse_conv_bn_eval(convolution, norm))
        # What libraries put into their batch norms besides.
        rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
        backbone.set_submodule(names[norm], nn.Sequential(*rest))
    if not all(_is_close(a, b) for a, b in zip(expected, backbone(example), strict=True)):
        for pair in pairs:
            for module in pair:
                backbone.set_submodule(names[module], module)


def _watch(backbone: nn.Module, example: Tensor) -> tuple[Pairs, tuple[Tensor, ...]]:
    """Convolutions with the one batch norm that their output was seen to go to; and the feature maps."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # by identity, of tensors that are held, lest it be given anew
    feeds: dict[nn.BatchNorm2d, set[nn.Conv2d | None]] = {}

    def after(convolution: Any, _: Any, output: Tensor) -> None:
        made[id(output)] = (convolution, output)

    def ahead(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        feeds.setdefault(norm, set()).add(made.get(id(inputs[0]), (None, None))[0])

    hooks: list[Any] = []
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(ahead))
    try:
        maps = backbone(example)
    finally:
        for hook in hooks:
            hook.remove()
    fed = [convolution for convolutions in feeds.values() for convolution in convolutions]
    pairs = [(c, norm) for norm, (c, *others) in feeds.items() if c is not None and not others and fed.count(c) == 1]
    return pairs, maps


def _is_close(expected: Tensor, found: Tensor) -> bool:
    return bool((expected - found).abs().max() <= CLOSE * expected.abs().max())
