"""Tiny random models of every captioner family, saved as their publishers save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    GitConfig,
    GitForCausalLM,
    GPT2Config,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    OPTConfig,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

SIDE, PATCH = 32, 8
PAD, BOS, EOS, UNK, IMAGE, AROUND, GLOBAL = range(7)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<fake_token_around_image>", "<global-img>"]
WORDS = ["describe", "this", "image", "in", "one", "short", "sentence", "what", "does", "the", "a", "of", "user"]
VOCABULARY = 96
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }} : {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %} assistant :{% endif %}"
)
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": SIDE,
    "patch_size": PATCH,
}
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
SQUARE = {"height": SIDE, "width": SIDE}


def tokenizer(folder: Path, chat: bool = False, start: bool = False) -> None:
    """A word-level tokenizer; `start` puts <s> before every text, as OPT's does."""
    names = [*SPECIAL, *WORDS]
    vocabulary = {
        word: number for number, word in enumerate([*names, *(f"w{n}" for n in range(len(names), VOCABULARY))])
    }
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if start:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=["<image>", "<fake_token_around_image>", "<global-img>"],
    )  # fmt: skip
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def saved(folder: Path, model: Any, processor: Any, chat: bool = False, start: bool = False, **generation: Any) -> Path:
    """A model folder. Weights are drawn wide, so that captions and attention differ between images."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2 and "norm" not in name.lower():
                weight.normal_(0, 0.25)
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    tokenizer(folder, chat, start)
    return folder


def vit_gpt2(folder: Path) -> Path:
    gpt2 = GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4,
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**VISION), gpt2)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = BOS, EOS, PAD
    model = VisionEncoderDecoderModel(config)
    return saved(
        folder, model, ViTImageProcessorPil(size=SQUARE),
        decoder_start_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_length=10, num_beams=2,
    )  # fmt: skip


def blip(folder: Path) -> Path:
    text = {**TEXT, "sep_token_id": EOS, "encoder_hidden_size": 32, "projection_dim": 32}
    vision = {**VISION, "projection_dim": 32}
    return saved(
        folder,
        BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=32)),
        BlipImageProcessorPil(size=SQUARE),
    )


def git(folder: Path) -> Path:
    config = GitConfig(vision_config=VISION, **TEXT)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return saved(folder, GitForCausalLM(config), processor, max_length=10, bos_token_id=BOS, eos_token_id=EOS,
                 pad_token_id=PAD)  # fmt: skip


def llava(folder: Path) -> Path:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION), text_config=LlamaConfig(**TEXT), image_token_index=IMAGE
    )
    processor = LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return saved(folder, LlavaForConditionalGeneration(config), processor, chat=True, max_new_tokens=6,
                 eos_token_id=EOS, pad_token_id=PAD)  # fmt: skip


def _idefics(folder: Path, kind: Any, config: Any, processor: Any) -> Path:
    vision = {**VISION, "patch_size": 4}
    model = kind(config(vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2))
    images = processor(size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE})
    return saved(folder, model, images, chat=True, max_new_tokens=6, eos_token_id=[EOS], pad_token_id=PAD)


def idefics3(folder: Path) -> Path:
    return _idefics(folder, Idefics3ForConditionalGeneration, Idefics3Config, Idefics3ImageProcessorPil)


def smolvlm(folder: Path) -> Path:
    return _idefics(folder, SmolVLMForConditionalGeneration, SmolVLMConfig, SmolVLMImageProcessorPil)


def blip2(folder: Path) -> Path:
    qformer = Blip2QFormerConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        encoder_hidden_size=32, cross_attention_frequency=1,
    )  # fmt: skip
    text = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
        word_embed_proj_dim=32, max_position_embeddings=128, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
    )  # fmt: skip
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**VISION),
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=5,
        image_token_index=IMAGE,
    )
    model = Blip2ForConditionalGeneration(config)
    return saved(folder, model, BlipImageProcessorPil(size=SQUARE), start=True, max_new_tokens=6)


def florence2(folder: Path) -> Path:
    vision = {
        "depths": (1, 1), "embed_dim": (16, 32), "num_heads": (2, 2), "num_groups": (2, 2), "patch_size": (7, 3),
        "patch_stride": (4, 2), "patch_padding": (3, 1), "patch_prenorm": (False, True), "window_size": 2,
        "projection_dim": 32, "max_position_embeddings": 16, "max_temporal_embeddings": 4,
    }  # fmt: skip
    text = {
        "model_type": "bart", "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
        "max_position_embeddings": 128, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS,
        "decoder_start_token_id": EOS, "forced_eos_token_id": EOS,
    }  # fmt: skip
    model = Florence2ForConditionalGeneration(
        Florence2Config(text_config=text, vision_config=vision, image_token_id=IMAGE)
    )
    processor = CLIPImageProcessorPil(size=SQUARE, do_center_crop=False)
    return saved(folder, model, processor, max_length=10, num_beams=2, forced_bos_token_id=BOS,
                 decoder_start_token_id=EOS, eos_token_id=EOS, pad_token_id=PAD, no_repeat_ngram_size=3)  # fmt: skip


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "blip": blip,
    "blip-2": blip2,
    "florence2": florence2,
    "git": git,
    "idefics3": idefics3,
    "llava": llava,
    "smolvlm": smolvlm,
    "vision-encoder-decoder": vit_gpt2,
}
