"""Fine-tuning of the embedded captioner family: frozen image features, and a decoder that learns as a whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from transformers import VisionEncoderDecoderModel

from srdscan.finetune.grid import SIZE, FeatureTable, Schedule, extract_features, save_captioner, train_decoder
from srdscan.finetune.learner import EpochDone, StepDone
from srdscan.models.captioners.grid_encoder import GridEncoder
from srdscan.models.whole import load_tokenizer


class EmbeddedLearner:
    """A captioner whose encoder is a `GridEncoder`; learns on the CPU, in minutes for thousands of pictures.

    Args:
        model: a `VisionEncoderDecoderModel` over a `GridEncoder`, in float32.
        path: the model's folder.
    """

    learning_rate = 5e-4

    def __init__(self, model: Any, path: str) -> None:
        self.model: VisionEncoderDecoderModel = model
        self.tokenizer = load_tokenizer(path)

    def encode(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(B, 512, 14, 14) float16, one view of each picture."""
        resized = (image.resize((SIZE, SIZE), Image.Resampling.BICUBIC) for image in images)
        return extract_features(cast(GridEncoder, self.model.encoder).backbone, resized)

    def learn(
        self,
        features: torch.Tensor,
        captions: list[list[str]],
        schedule: Schedule,
        epoch_done: EpochDone,
        step_done: StepDone,
    ) -> None:
        """Trains the decoder."""
        table = FeatureTable(features[:, None], captions)
        train_decoder(self.model, self.tokenizer, [table], schedule, epoch_done, lambda line: None, step_done)

    def save(self, folder: Path) -> None:
        """Writes a model folder in float16."""
        save_captioner(self.model, self.tokenizer, folder)
