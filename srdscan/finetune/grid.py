"""Train the embedded captioner family's decoder over frozen image features.

The backbone never changes, so each picture's features are computed once (0.2 MB a view in float16) and an epoch over
thousands of photographs takes a minute or two on two CPU cores. A picture's captions share one row of the batch:
they lie one after the other, each attending to itself alone (a block-diagonal causal mask) and all of them to the same
image, so the cross-attention's keys and values are computed once per picture and not once per caption.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import (
    GPT2Config,
    PreTrainedTokenizerBase,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTImageProcessorPil,
)

from srdscan.models.captioners.grid_encoder import GridEncoder, Lite0Backbone

MAX_CAPTION_TOKENS = 32
SIZE = 224
"""Side of the images that the backbone sees, in px."""


@dataclass
class FeatureTable:
    """Pictures as frozen features, with their captions.

    Attributes:
        features: (N, V, 512, 14, 14) float16; V views of each picture, all showing what the captions say.
        captions: N lists of one or more captions.
    """

    features: torch.Tensor
    captions: list[list[str]]


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train.

    Attributes:
        epochs: passes over every table.
        rows: pictures per step (all of a picture's captions are in its row).
        learning_rate: peak of a cosine with linear warm-up.
        warmup: share of the steps spent warming up.
        weight_decay: AdamW's.
        captions: of each picture, learned in an epoch, drawn anew each time; None learns all of them. The decoder's
            work, the largest part of a step, grows with it.
        seed: order of the pictures, choice of the views, initial weights, dropout.
    """

    epochs: int = 10
    rows: int = 48
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    captions: int | None = None
    seed: int = 0


def pixels_to_tensor(images: Sequence[Image.Image]) -> torch.Tensor:
    """224 x 224 RGB images to (B, 3, 224, 224) float32 in EfficientNet-Lite's range, (pixel - 127) / 128."""
    array = np.stack([np.asarray(image) for image in images])
    return (torch.from_numpy(array).permute(0, 3, 1, 2).float() - 127.0) / 128.0


@torch.inference_mode()
def extract_features(backbone: Lite0Backbone, images: Iterable[Image.Image], batch_size: int = 64) -> torch.Tensor:
    """Features of 224 x 224 RGB images: (N, 512, 14, 14) float16."""
    backbone = backbone.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    out: list[torch.Tensor] = []
    batch: list[Image.Image] = []

    def flush() -> None:
        pixels = pixels_to_tensor(batch).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out.append(backbone(pixels).to(torch.float16).contiguous())
        batch.clear()

    for image in images:
        batch.append(image)
        if len(batch) == batch_size:
            flush()
    if batch:
        flush()
    return torch.cat(out)


def new_captioner(
    tokenizer: PreTrainedTokenizerBase, encoder: GridEncoder, seed: int, layers: int = 2, width: int = 256
) -> VisionEncoderDecoderModel:
    """A captioner with an untrained decoder, a small GPT-2 that cross-attends to the grid."""
    torch.manual_seed(seed)
    decoder = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=width,
        n_layer=layers,
        n_head=8,
        add_cross_attention=True,
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder)
    config.decoder_start_token_id = tokenizer.bos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    config.eos_token_id = tokenizer.eos_token_id
    model = VisionEncoderDecoderModel(config, encoder=encoder)
    generation = model.generation_config
    generation.decoder_start_token_id = tokenizer.bos_token_id
    generation.bos_token_id = tokenizer.bos_token_id
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    generation.max_length = MAX_CAPTION_TOKENS
    generation.num_beams = 3
    return model


def pack(token_lists: Sequence[Sequence[Sequence[int]]], bos: int, eos: int) -> dict[str, torch.Tensor]:
    """Lays each picture's captions side by side in one row.

    Args:
        token_lists: B pictures, each a list of tokenised captions without special tokens.

    Returns:
        `input_ids`, `position_ids`, `labels` (B, T) and `attention_mask` (B, 1, T, T) float, 0 where a token may
        attend and a large negative number elsewhere. Labels are the next token, -100 in the padding.
    """
    rows = []
    for captions in token_lists:
        ids: list[int] = []
        labels: list[int] = []
        positions: list[int] = []
        owners: list[int] = []
        for owner, tokens in enumerate(captions):
            cut = list(tokens)[: MAX_CAPTION_TOKENS - 1]
            ids += [bos, *cut]
            labels += [*cut, eos]
            positions += range(len(cut) + 1)
            owners += [owner] * (len(cut) + 1)
        rows.append((ids, labels, positions, owners))
    length = max(len(ids) for ids, *_ in rows)
    batch = torch.full((4, len(rows), length), -1)
    for index, row in enumerate(rows):
        for kind, values in enumerate(row):
            batch[kind, index, : len(values)] = torch.tensor(values)
    ids_t, labels_t, positions_t, owners_t = batch
    same = (owners_t[:, :, None] == owners_t[:, None, :]) & (torch.arange(length)[:, None] >= torch.arange(length))
    mask = torch.zeros(len(rows), 1, length, length).masked_fill(~same[:, None], torch.finfo(torch.float32).min)
    return {
        "input_ids": ids_t.clamp(min=0),
        "position_ids": positions_t.clamp(min=0),
        "labels": labels_t.masked_fill(labels_t < 0, -100),
        "attention_mask": mask,
    }


def some(captions: list[list[int]], count: int | None, draw: np.random.Generator) -> list[list[int]]:
    """Some of a picture's captions, drawn without repetition; all of them if `count` is None."""
    if count is None or count >= len(captions):
        return captions
    return [captions[place] for place in sorted(draw.permutation(len(captions))[:count])]


def _batches(
    tables: Sequence[FeatureTable], rows: int, generator: torch.Generator
) -> Iterator[tuple[int, torch.Tensor]]:
    """(table, row indices) pairs in random order; a batch never mixes tables, whose rows differ in length."""
    jobs = []
    for number, table in enumerate(tables):
        order = torch.randperm(len(table.captions), generator=generator)
        jobs += [(number, chunk) for chunk in order.split(rows)]
    for job in torch.randperm(len(jobs), generator=generator).tolist():
        yield jobs[job]


def train_decoder(
    model: VisionEncoderDecoderModel,
    tokenizer: PreTrainedTokenizerBase,
    tables: Sequence[FeatureTable],
    schedule: Schedule,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
    log: Callable[[str], None] = print,
    on_step: Callable[[int], None] = lambda pictures: None,
) -> None:
    """Trains everything behind the backbone; the model is left in evaluation mode.

    Args:
        on_epoch: called after each epoch with its number (from 1) and the mean loss in nats per token.
        on_step: called after each step with the number of pictures in it.
    """
    torch.manual_seed(schedule.seed)
    generator = torch.Generator().manual_seed(schedule.seed)
    draw = np.random.default_rng(schedule.seed)
    tokens = [[tokenizer(captions, add_special_tokens=False).input_ids for captions in t.captions] for t in tables]
    parameters = [p for p in model.parameters() if p.requires_grad]
    decay = [p for p in parameters if p.ndim >= 2]
    plain = [p for p in parameters if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=schedule.learning_rate,
        betas=(0.9, 0.98),
    )
    steps = schedule.epochs * sum(math.ceil(len(t.captions) / schedule.rows) for t in tables)
    warm = max(1, round(schedule.warmup * steps))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
        ),
    )
    for epoch in range(1, schedule.epochs + 1):
        model.train()
        losses, started = [], time.monotonic()
        for number, rows in _batches(tables, schedule.rows, generator):
            table = tables[number]
            views = torch.randint(table.features.shape[1], (len(rows),), generator=generator)
            features = table.features[rows, views].float()
            said = [some(tokens[number][row], schedule.captions, draw) for row in rows.tolist()]
            packed = pack(said, tokenizer.bos_token_id, tokenizer.eos_token_id)
            labels = packed.pop("labels")
            real = labels >= 0
            with torch.autocast("cpu", dtype=torch.bfloat16):
                memory = model.enc_to_dec_proj(model.encoder.tokens(features))  # type: ignore[operator]
                body = model.decoder.transformer  # its vocabulary layer need not see the padding
                states = body(encoder_hidden_states=memory, use_cache=False, **packed).last_hidden_state  # type: ignore[operator]
                logits = model.decoder.lm_head(states[real])
            loss = nn.functional.cross_entropy(logits.float(), labels[real])
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            scheduler.step()
            losses.append(loss.item())
            on_step(len(rows))
            if len(losses) % 50 == 0:
                log(
                    f"epoch {epoch} step {len(losses)} loss {np.mean(losses[-50:]):.3f} "
                    f"{(time.monotonic() - started) / len(losses):.2f} s/step"
                )
        model.eval()
        on_epoch(epoch, float(np.mean(losses)))


def save_captioner(model: VisionEncoderDecoderModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Writes a model folder: float16 safetensors, the image processor and the tokenizer."""
    half = {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.save_pretrained(out, state_dict=half)
    tokenizer.save_pretrained(out)
    ViTImageProcessorPil(
        size={"height": SIZE, "width": SIZE}, resample=3, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    ).save_pretrained(out)
