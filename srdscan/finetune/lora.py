"""Fine-tuning of any Hugging Face captioner by LoRA (Hu et al., ICLR 2022; arXiv 2106.09685), through peft.

The encoder stays as it is, so that image features are computed once. Which layers learn needs no list of names: they
are the linear layers that one pass of the decoder runs through, its vocabulary left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import get_cosine_schedule_with_warmup
from transformers.pytorch_utils import Conv1D

from srdscan.finetune.grid import Schedule, some
from srdscan.finetune.learner import EpochDone, StepDone
from srdscan.models.captioners.huggingface import HuggingFaceCaptioner

RANK = 16
PICTURES = 16
"""Pictures a step; every caption of each is in it."""
ENCODED = 8
"""Pictures that are encoded at once."""


class LoraLearner:
    """A captioner with a low-rank update beside each linear layer of its decoder.

    Args:
        captioner: what learns.
        path: its folder or Hub id.
    """

    learning_rate = 1e-3

    def __init__(self, captioner: HuggingFaceCaptioner, path: str) -> None:
        self.captioner, self.path = captioner, path

    def encode(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(B, P, D) bfloat16, what the decoder attends to."""
        parts = [
            self.captioner.memory(self.captioner.encode(images[start : start + ENCODED])).to("cpu", torch.bfloat16)
            for start in range(0, len(images), ENCODED)
        ]
        return torch.cat(parts)

    def learn(
        self,
        features: torch.Tensor,
        captions: list[list[str]],
        schedule: Schedule,
        epoch_done: EpochDone,
        step_done: StepDone,
    ) -> None:
        """Trains the updates."""
        from peft import LoraConfig, inject_adapter_in_model

        captioner, tokens = self.captioner, [self.captioner.tokens(row) for row in captions]
        torch.manual_seed(schedule.seed)
        draw = np.random.default_rng(schedule.seed)
        names = decoder_layers(captioner, features[:1], tokens[0][:1])
        settings = LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.05, target_modules=names)
        captioner.model.requires_grad_(False)
        inject_adapter_in_model(settings, captioner.model)
        learned = [weight for weight in captioner.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=schedule.learning_rate, weight_decay=0.0)
        steps = schedule.epochs * -(-len(captions) // PICTURES)
        rates = get_cosine_schedule_with_warmup(optimizer, max(1, round(schedule.warmup * steps)), steps)
        for epoch in range(1, schedule.epochs + 1):
            captioner.model.train()
            losses = []
            order = draw.permutation(len(captions))
            for start in range(0, len(order), PICTURES):
                rows = order[start : start + PICTURES]
                loss = self._loss(features[rows], [some(tokens[row], schedule.captions, draw) for row in rows])
                loss.backward()
                nn.utils.clip_grad_norm_(learned, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                rates.step()
                losses.append(loss.item())
                step_done(len(rows))
            captioner.model.eval()
            epoch_done(epoch, float(np.mean(losses)))

    def _loss(self, features: torch.Tensor, tokens: list[list[list[int]]]) -> torch.Tensor:
        """Mean negative log-likelihood of all captions of some pictures, in nats per token."""
        captioner = self.captioner
        pictures = torch.tensor([number for number, row in enumerate(tokens) for _ in row])
        memory = features[pictures].to(captioner.device, torch.float32)
        with torch.autocast(captioner.device.type, captioner.autocast, enabled=captioner.autocast is not None):
            logits, wanted, real, _ = captioner.predict(memory, [one for row in tokens for one in row])
        return nn.functional.cross_entropy(logits[real], wanted[real])

    def save(self, folder: Path) -> None:
        """Writes a model folder with the updates added to the weights: nothing of LoRA is left in it."""
        from peft.tuners.lora import LoraLayer

        merged = {}
        for name, layer in self.captioner.model.named_modules():
            if isinstance(layer, LoraLayer):
                updated: Any = layer
                updated.merge()
                merged[f"{name}.weight"] = updated.get_base_layer().weight.detach().cpu()
        parts = self.captioner.load_parts(self.path)  # as it was published: a captioner rebuilds parts of its model
        with torch.no_grad():
            for name, weight in merged.items():
                parts.model.get_parameter(name).copy_(weight)
        parts.model.save_pretrained(folder)
        parts.tokenizer.save_pretrained(folder)
        parts.image_processor.save_pretrained(folder)


def decoder_layers(captioner: HuggingFaceCaptioner, memory: torch.Tensor, tokens: list[list[int]]) -> list[str]:
    """Names of the linear layers that a pass of the decoder runs through, those over the vocabulary left out."""
    used: list[str] = []
    vocabulary = captioner.model.get_output_embeddings()
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: used.append(name))
        for name, layer in captioner.model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not vocabulary and not _over_words(layer, captioner)
    ]
    with torch.no_grad():
        captioner.predict(memory.to(captioner.device, torch.float32), tokens)
    for hook in hooks:
        hook.remove()
    return sorted(set(used))


def _over_words(layer: Any, captioner: HuggingFaceCaptioner) -> bool:
    """Whether a layer's output is as wide as the vocabulary."""
    width = layer.out_features if isinstance(layer, nn.Linear) else layer.nf
    return bool(width >= len(captioner.tokenizer))
