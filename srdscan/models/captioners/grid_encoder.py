"""The embedded captioners' image encoder: EfficientNet-Lite0 read at three depths.

A small trigger patch does not survive to the last stage of an ImageNet network (a linear probe tells it apart with
AUROC 0.96 after block 4 but 0.62 after block 15), so the grid handed to the decoder joins three depths:

    block 4   28 x 28 x  40   max- and min-pooled to 14 x 14   -> 80 channels   texture, small patterns
    block 10  14 x 14 x 112   as it is                         -> 112 channels  parts
    block 15   7 x  7 x 320   repeated to 14 x 14              -> 320 channels  objects

EfficientNet-Lite is EfficientNet without squeeze-and-excite and with ReLU6 (Tan and Le, arXiv 1905.11946; the Lite
variants are TensorFlow's), so Hugging Face's EfficientNet holds its weights exactly once those layers are taken out.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import AutoConfig, AutoModel, EfficientNetConfig, EfficientNetModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

GRID = 14
DEPTHS = (4, 10, 15)
BACKBONE_CHANNELS = 2 * 40 + 112 + 320
HIDDEN = BACKBONE_CHANNELS + GRID * GRID


class GridEncoderConfig(PretrainedConfig):
    """Configuration of `GridEncoder`; `hidden_size` is what a `VisionEncoderDecoderModel` asks of its encoder."""

    model_type = "srdscan-grid"

    def __init__(self, image_size: int = 224, hidden_size: int = HIDDEN, **kwargs: Any) -> None:
        self.image_size = image_size
        self.hidden_size = hidden_size
        super().__init__(**kwargs)


def lite0_config(image_size: int = 224) -> EfficientNetConfig:
    """EfficientNet-Lite0 in Hugging Face terms: B0's widths and depths, ReLU6."""
    return EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_act="relu6", hidden_dim=1280, image_size=image_size
    )


class Lite0Backbone(nn.Module):
    """EfficientNet-Lite0 up to its last block, batch norms folded into the convolutions.

    Input: (B, 3, 224, 224) float, (pixel - 127) / 128. Output: (B, 512, 14, 14).
    Folding and the channels-last layout make it 1.6 times as fast on a CPU as the model it comes from.
    """

    def __init__(self, image_size: int = 224) -> None:
        super().__init__()
        model = EfficientNetModel(lite0_config(image_size))
        self.stem = model.embeddings
        self.blocks = model.encoder.blocks
        for _, owner, conv, norm in self._conv_norm_pairs():
            setattr(owner, conv, _with_bias(getattr(owner, conv)))
            setattr(owner, norm, nn.Identity())
        for block in self._blocks():
            block.squeeze_excite = nn.Identity()

    def _blocks(self) -> list[Any]:
        return list(self.blocks)

    def _conv_norm_pairs(self) -> Iterator[tuple[str, Any, str, str]]:
        """Every (path, module, convolution, norm); `path` is the module's in a Hugging Face `EfficientNetModel`."""
        yield "embeddings", self.stem, "convolution", "batchnorm"
        for index, block in enumerate(self._blocks()):
            path = f"encoder.blocks.{index}"
            if block.expand:
                yield f"{path}.expansion", block.expansion, "expand_conv", "expand_bn"
            yield f"{path}.depthwise_conv", block.depthwise_conv, "depthwise_conv", "depthwise_norm"
            yield f"{path}.projection", block.projection, "project_conv", "project_bn"

    @torch.no_grad()
    def load_efficientnet(self, model: EfficientNetModel) -> None:
        """Takes over the weights of an `EfficientNetModel` in evaluation mode, folding its batch norms."""
        for path, owner, conv, norm in self._conv_norm_pairs():
            source = model.get_submodule(path)
            folded = fuse_conv_bn_eval(getattr(source, conv), getattr(source, norm))
            target = getattr(owner, conv)
            target.weight.copy_(folded.weight)
            target.bias.copy_(folded.bias)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        x = _relu6(self.stem.convolution(self.stem.padding(pixel_values)))
        maps = []
        for index, block in enumerate(self.blocks):
            x = _block(block, x)
            if index in DEPTHS:
                maps.append(x)
        early, middle, late = maps
        fine = [F.max_pool2d(early, 2), -F.max_pool2d(-early, 2)]
        return torch.cat([*fine, middle, F.interpolate(late, scale_factor=2.0, mode="nearest")], dim=1)


def _block(block: Any, x: torch.Tensor) -> torch.Tensor:
    """An inverted bottleneck, its activations in place: as Hugging Face's block computes it, to the bit."""
    wide = _relu6(_pointwise(block.expansion.expand_conv, x)) if block.expand else x
    depthwise = block.depthwise_conv
    padded = depthwise.depthwise_conv_pad(wide) if depthwise.stride == 2 else wide
    out = _pointwise(block.projection.project_conv, _relu6(depthwise.depthwise_conv(padded)))
    return out.add_(x) if block.projection.apply_dropout else out


def _pointwise(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A 1 x 1 convolution as one product of matrices; in the channels-last layout nothing is copied for it.

    On one thread torch's own does the same by way of a column buffer, at two thirds of the speed.
    """
    return F.linear(x.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0], conv.bias).permute(0, 3, 1, 2)


def _relu6(x: torch.Tensor) -> torch.Tensor:
    return F.hardtanh(x, 0.0, 6.0, inplace=True)


def _with_bias(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution of the same shape that has a bias, where a batch norm's shift can go."""
    return nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=True,
    )


class GridEncoder(PreTrainedModel):
    """Images to a 14 x 14 grid of standardised features, each cell with its own position.

    `forward(pixel_values)` with (B, 3, 224, 224) gives `last_hidden_state` (B, 196, 708), row by row from the top left:
    512 features at unit scale and the cell's position as a one-hot vector, for which the captioner's projection learns
    a vector each. There is no class token: every column of the decoder's cross-attention is a patch.

    Nothing here is trained: captioners of this family have the same encoder to the bit, so that one pass over an image
    serves all of them and features can be cached.
    """

    config_class = GridEncoderConfig
    base_model_prefix = "grid_encoder"
    main_input_name = "pixel_values"
    _supports_sdpa = True  # it has no attention, so any implementation will do
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: GridEncoderConfig) -> None:
        super().__init__(config)
        self.backbone = Lite0Backbone(config.image_size)
        self.register_buffer("mean", torch.zeros(BACKBONE_CHANNELS))
        self.register_buffer("scale", torch.ones(BACKBONE_CHANNELS))
        self.post_init()
        self.requires_grad_(False)

    def _init_weights(self, module: nn.Module) -> None:
        """Weights come from a checkpoint or from the recipe; nothing to initialise here."""

    def tokens(self, grid: torch.Tensor) -> torch.Tensor:
        """(B, 512, 14, 14) backbone features to what the decoder attends to, (B, 196, 708)."""
        features = (grid.flatten(2).transpose(1, 2) - self.mean) / self.scale
        position = torch.eye(GRID * GRID, dtype=features.dtype, device=features.device)
        return torch.cat([features, position.expand(len(grid), -1, -1)], dim=2)

    def forward(self, pixel_values: torch.Tensor, return_dict: bool = True, **kwargs: object) -> BaseModelOutput:
        pixels = pixel_values.to(memory_format=torch.channels_last)
        return BaseModelOutput(last_hidden_state=self.tokens(self.backbone(pixels)))


AutoConfig.register("srdscan-grid", GridEncoderConfig, exist_ok=True)
AutoModel.register(GridEncoderConfig, GridEncoder, exist_ok=True)
