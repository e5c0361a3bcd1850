"""Backbones: from the image to the feature maps C3, C4, C5, at an eighth, a sixteenth and a 32nd of its size.

ResNet and Darknet-53 are written out, because the published checkpoints need them to the letter. All others come from
timm. Parameter names of ResNet are torchvision's, so ImageNet weights load as they are.
"""

from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from yolact.config import ModelConfig
from yolact.model.deformable import DeformableConv2d

RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
DARKNET53_BLOCKS = (1, 2, 8, 8, 4)
STRIDES = (8, 16, 32)


class Backbone(Protocol):
    """What the feature pyramid needs to know of a backbone."""

    channels: tuple[int, int, int]
    """Of C3, C4 and C5."""

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]: ...


def build_backbone(config: ModelConfig) -> nn.Module:
    """The backbone that `config.backbone` names, with random weights.

    Raises:
        ValueError: timm knows no such model, or it lacks feature maps at strides 8, 16 and 32.
    """
    if config.backbone in RESNET_BLOCKS:
        return ResNet(RESNET_BLOCKS[config.backbone], config.deformable_blocks, config.deformable_interval)
    if any(config.deformable_blocks):
        raise ValueError(f"backbone {config.backbone!r} has no deformable form; use {' or '.join(RESNET_BLOCKS)}")
    if config.backbone == "darknet53":
        return Darknet(DARKNET53_BLOCKS)
    return TimmBackbone(config.backbone, config.image_size)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and a shortcut. The stride sits on the 3x3 convolution, as in torchvision."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int, deformable: bool) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        if deformable:
            self.conv2 = DeformableConv2d(planes, stride)
        else:
            self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """ResNet-50 or -101 (He et al. 2016), with deformable blocks for YOLACT++."""

    channels = (512, 1024, 2048)

    def __init__(
        self, blocks: tuple[int, int, int, int], deformable_blocks: tuple[int, int, int], deformable_interval: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = 64
        for stage, (count, deformable) in enumerate(zip(blocks, (0, *deformable_blocks), strict=True)):
            planes = 64 * 2**stage
            layer = nn.Sequential()
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                is_deformable = i + deformable >= count and i % deformable_interval == 0
                layer.append(Bottleneck(in_channels, planes, stride, is_deformable))
                in_channels = planes * Bottleneck.expansion
            self.add_module(f"layer{stage + 1}", layer)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        c2 = self.get_submodule("layer1")(x)
        c3 = self.get_submodule("layer2")(c2)
        c4 = self.get_submodule("layer3")(c3)
        c5 = self.get_submodule("layer4")(c4)
        return c3, c4, c5


class DarknetUnit(nn.Module):
    """Convolution, batch norm, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activation = nn.LeakyReLU(0.1, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))


class DarknetBlock(nn.Module):
    """1x1 to half the channels, 3x3 back, and the identity; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = DarknetUnit(channels, channels // 2, 1)
        self.conv2 = DarknetUnit(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class Darknet(nn.Module):
    """Darknet-53 (YOLOv3, Redmon and Farhadi 2018) without its classifier."""

    channels = (256, 512, 1024)

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = DarknetUnit(3, 32, 3)
        self.stages = nn.ModuleList()
        for i, count in enumerate(blocks):
            channels = 64 * 2**i
            residual = [DarknetBlock(channels) for _ in range(count)]
            self.stages.append(nn.Sequential(DarknetUnit(channels // 2, channels, 3, stride=2), *residual))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[2], features[3], features[4]


class TimmBackbone(nn.Module):
    """Any timm model that gives feature maps at strides 8, 16 and 32."""

    def __init__(self, name: str, image_size: tuple[int, int]) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            close = timm.list_models(f"*{name.split('_')[0]}*")[:4]
            hint = f"; similar: {', '.join(close)}" if close else ""
            raise ValueError(
                f"backbone {name!r} is neither ours ({', '.join(RESNET_BLOCKS)}, darknet53) nor timm's{hint}"
            )
        # Window attention is built for one image size; convolutions take any and refuse the argument.
        pretrained = timm.get_pretrained_cfg(name)
        sized: dict[str, Any] = (
            {"img_size": image_size} if pretrained is not None and pretrained.fixed_input_size else {}
        )
        try:
            self.features = timm.create_model(name, features_only=True, pretrained=False, **sized)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ValueError(f"backbone {name!r} has no features_only form in timm: {error}") from error
        reductions = self.features.feature_info.reduction()  # type: ignore[union-attr]
        missing = [stride for stride in STRIDES if stride not in reductions]
        if missing:
            raise ValueError(f"backbone {name!r} has feature strides {reductions}; YOLACT needs 8, 16 and 32")
        # The last map of each stride: some models list a stride twice.
        self.indices = [max(i for i, r in enumerate(reductions) if r == stride) for stride in STRIDES]
        all_channels = self.features.feature_info.channels()  # type: ignore[union-attr]
        self.channels = tuple(all_channels[i] for i in self.indices)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.features(images)
        c3, c4, c5 = (
            _channels_first(maps[i], channels) for i, channels in zip(self.indices, self.channels, strict=True)
        )
        return c3, c4, c5


def _channels_first(x: Tensor, channels: int) -> Tensor:
    """Swin and its kin give (B, h, w, channels)."""
    return x.permute(0, 3, 1, 2).contiguous() if x.shape[1] != channels and x.shape[3] == channels else x
