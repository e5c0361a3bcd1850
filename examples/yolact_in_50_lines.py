"""The idea of YOLACT (Bolya et al., ICCV 2019) in 50 lines, with nothing but torch and torchvision.

    python examples/yolact_in_50_lines.py photos/000000475546.jpg segmented.png

A network looks at the photograph once. It paints K prototype masks of the whole image, and says for each anchor what is
there, where, and by which K coefficients the prototypes have to be mixed: that mixture is the instance's mask. Those
are the 50 lines. The backbone, which is EfficientNet's idea and not YOLACT's, and the reading of files follow below.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.datasets.folder import pil_loader
from torchvision.ops import box_iou
from torchvision.transforms.functional import pil_to_tensor, to_pil_image
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

WEIGHTS = Path(__file__).parents[1] / "src/yolact/weights/yolact-people.safetensors"
W, CONFIG = {}, {}  # the tensors of that file by name, and what it says about itself


def network(image):  # figure 2 of the paper, from left to right
    c3, c4, c5 = backbone(image)
    m5 = conv("fpn.lateral.2", c5)  # feature pyramid: coarse features are enlarged and added to finer ones
    m4 = conv("fpn.lateral.1", c4) + F.interpolate(m5, c4.shape[2:], mode="bilinear")
    m3 = conv("fpn.lateral.0", c3) + F.interpolate(m4, c3.shape[2:], mode="bilinear")
    p3, p4, p5 = (conv(f"fpn.output.{i}", m).relu() for i, m in enumerate((m3, m4, m5)))
    p6 = conv("fpn.downsample.0", p5, stride=2)
    p7 = conv("fpn.downsample.1", p6, stride=2)
    x = p3  # protonet: on the finest level, at twice its resolution
    for name in ("conv1", "conv2", "conv3"):
        x = conv(f"protonet.{name}", x).relu()
    x = conv("protonet.conv4", F.interpolate(x, scale_factor=2, mode="bilinear")).relu()
    prototypes = conv("protonet.prototypes", x).relu()[0]
    levels = [conv("head.shared", level).relu() for level in (p3, p4, p5, p6, p7)]  # one head for all levels
    scales = CONFIG["anchor_scales"]
    anchors = torch.cat([grid(x.shape[2], x.shape[3], sides) for x, sides in zip(levels, scales, strict=True)])
    logits, deltas, coefficients = (
        torch.cat([conv(f"head.{name}", x)[0].movedim(0, 2).flatten() for x in levels]).view(len(anchors), -1)
        for name in ("class_logits", "box_deltas", "coefficients")
    )
    return prototypes, anchors, logits.softmax(1)[:, 1:].T, deltas, coefficients.tanh()  # tanh: masks can be subtracted


def grid(rows, columns, sides):  # anchors: in each cell of a level, boxes of a few sizes and shapes
    y, x = (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns
    ratios = torch.tensor(CONFIG["anchor_ratios"]).sqrt()
    y, x, side, ratio = torch.meshgrid(y, x, torch.tensor(sides).float(), ratios, indexing="ij")
    height, width = CONFIG["image_size"]
    return torch.stack([x, y, side * ratio / width, side / ratio / height], dim=-1).flatten(0, 3)


@torch.inference_mode()
def segment(photo, score_threshold=0.15, iou_threshold=0.5, top_k=100):  # photo: RGB, uint8, (3, height, width)
    image = F.interpolate(photo[None].float(), CONFIG["image_size"], mode="bilinear", antialias=CONFIG["antialias"])
    mean, std = torch.tensor([CONFIG["pixel_mean"], CONFIG["pixel_std"]])[:, :, None, None]
    prototypes, anchors, scores, deltas, coefficients = network((image - mean) / std)
    center, size = anchors[:, :2] + 0.1 * deltas[:, :2] * anchors[:, 2:], anchors[:, 2:] * (0.2 * deltas[:, 2:]).exp()
    boxes = torch.cat([center - size / 2, center + size / 2], dim=1)
    likely = (scores.amax(0) > 0.05).nonzero()[:, 0]  # Fast NMS: sort each class by score ...
    scores, order = scores[:, likely].sort(descending=True)
    scores, order = scores[:, :200], likely[order[:, :200]]
    overlaps = torch.stack([box_iou(of_class, of_class).triu(diagonal=1) for of_class in boxes[order]])
    kept = (overlaps <= iou_threshold).all(dim=1) & (scores > score_threshold)  # ... keep what overlaps none before it
    labels, ranks = kept.nonzero()[scores[kept].argsort(descending=True)[:top_k]].T
    scores, boxes, coefficients = scores[labels, ranks], boxes[order[labels, ranks]], coefficients[order[labels, ranks]]
    masks = torch.einsum("khw,nk->nhw", prototypes, coefficients).sigmoid()  # equation 1: M = sigmoid(P C^T)
    h, w = masks.shape[1:]  # crop with the box, one pixel wider
    x, y, (x1, y1, x2, y2) = torch.arange(w), torch.arange(h)[:, None], boxes.T[:, :, None, None]
    masks *= (x >= x1 * w - 1) & (x < x2 * w + 1) & (y >= y1 * h - 1) & (y < y2 * h + 1)
    masks = F.interpolate(masks[:, None], photo.shape[1:], mode="bilinear")[:, 0] > 0.5
    return boxes.clamp(0, 1) * torch.tensor(photo.shape)[[2, 1, 2, 1]], scores, labels, masks


def conv(name, x, stride=1, tensorflow=False):  # TensorFlow, where the backbone comes from, pads even sizes by one less
    weight, pad = W[f"{name}.weight"], W[f"{name}.weight"].shape[-1] // 2
    left, top = (pad - (tensorflow and stride == 2 and n % 2 == 0) for n in (x.shape[3], x.shape[2]))
    x = F.pad(x, (left, pad, top, pad))
    return F.conv2d(x, weight, W.get(f"{name}.bias"), stride, groups=x.shape[1] // weight.shape[1])


def unit(block, layer, norm, x, stride=1):  # a convolution and its batch norm
    statistics = (W[f"{block}.{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(conv(f"{block}.{layer}", x, stride, tensorflow=True), *statistics, eps=1e-3)


def backbone(x):  # EfficientNet-Lite0 to -Lite4: all but the strides can be told from the weights
    features, x = [], F.relu6(unit("backbone.features", "conv_stem", "bn1", x, stride=2))
    for stage, stage_stride in enumerate((1, 2, 2, 2, 1, 2, 1)):
        layers = ("conv_pw", "conv_dw", "conv_pwl") if stage > 0 else ("conv_dw", "conv_pw")
        prefix = f"backbone.features.blocks.{stage}."
        for i in range(sum(name.startswith(prefix) and name.endswith("conv_dw.weight") for name in W)):
            shortcut = x
            for n, layer in enumerate(layers, start=1):
                stride = stage_stride if layer == "conv_dw" and i == 0 else 1
                x = unit(f"{prefix}{i}", layer, f"bn{n}", x, stride)
                x = F.relu6(x) if n < len(layers) else x
            x = x + shortcut if x.shape == shortcut.shape else x
        features.append(x)
    return features[2], features[4], features[6]  # C3, C4, C5: an eighth, a sixteenth and a 32nd of the image


def load(path):  # a safetensors file: the length of a JSON header, the header, and the numbers
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    CONFIG.update(json.loads(header.pop("__metadata__")["config"]))
    types = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        numbers = torch.frombuffer(bytearray(data[begin:end]), dtype=types[entry["dtype"]])
        W[name] = numbers.view(entry["shape"]).float()


def main(source, target):
    load(WEIGHTS)
    photo = pil_to_tensor(pil_loader(source))
    boxes, scores, labels, masks = segment(photo)
    names = [f"{CONFIG['class_names'][label]} {score:.0%}" for label, score in zip(labels, scores, strict=True)]
    picture = draw_bounding_boxes(draw_segmentation_masks(photo, masks, alpha=0.5), boxes, names, width=2)
    to_pil_image(picture).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
