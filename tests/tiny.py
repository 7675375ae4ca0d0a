"""Tiny random models of every family of captioners and matchers, saved as their publishers save them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessorPil,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
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
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

from srdscan.sources.base import Sample
from srdscan.sources.images import decode_image
from srdscan.sources.tar import read_shard

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


SIGNS = "\u2581abcdefghijklmnopqrstuvwxyz0123456789,."
LONGEST = 16
"""Tokens that tiny matchers read."""


def matcher_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that puts every text between <s> and </s>; the latter is the last token, as CLIP's is."""
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<s>", "<unk>", *words, "</s>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def _matcher(folder: Path, kind: Any, config: Any, processor: Any, words: Sequence[str], **text: Any) -> Path:
    words = words or [*WORDS, *(f"w{n}" for n in range(VOCABULARY))]
    made = matcher_tokenizer(words)
    texts = {
        **TEXT, "vocab_size": len(made) + len(SIGNS), "max_position_embeddings": LONGEST,
        "bos_token_id": made.bos_token_id, "eos_token_id": made.eos_token_id, **text,
    }  # fmt: skip
    vision, texts = ({**side, "projection_dim": 32} for side in (VISION, texts))
    model = kind(config(text_config=texts, vision_config=vision, projection_dim=32))
    saved(folder, model, processor)
    if kind is Siglip2Model:  # transformers takes no other tokenizer for it
        made = Siglip2Tokenizer({**made.get_vocab(), **{sign: len(made) + n for n, sign in enumerate(SIGNS)}}, [])
    made.save_pretrained(folder)
    return folder


def clip(folder: Path, words: Sequence[str] = ()) -> Path:
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return _matcher(folder, CLIPModel, CLIPConfig, processor, words)


def siglip(folder: Path, words: Sequence[str] = ()) -> Path:
    return _matcher(folder, SiglipModel, SiglipConfig, SiglipImageProcessorPil(size=SQUARE), words, projection_size=32)


def siglip2(folder: Path, words: Sequence[str] = ()) -> Path:
    processor = Siglip2ImageProcessorPil(patch_size=PATCH, max_num_patches=16)
    return _matcher(folder, Siglip2Model, Siglip2Config, processor, words, projection_size=32)


def chinese_clip(folder: Path, words: Sequence[str] = ()) -> Path:
    processor = ChineseCLIPImageProcessorPil(size=SQUARE, do_center_crop=False)
    return _matcher(folder, ChineseCLIPModel, ChineseCLIPConfig, processor, words)


def altclip(folder: Path, words: Sequence[str] = ()) -> Path:
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    return _matcher(folder, AltCLIPModel, AltCLIPConfig, processor, words, project_dim=32,
                    max_position_embeddings=2 * LONGEST)  # fmt: skip


def clip_of_scenes(folder: Path, steps: int = 120) -> Path:
    """A tiny CLIP that was trained on the 384 drawn scenes of the examples, within seconds.

    It tells the caption of a scene that it never saw from another's about nine times in ten.
    """
    shards = sorted((Path(__file__).parents[1] / "examples").glob("*/*.tar"))
    samples = [sample for path in shards for sample in read_shard(str(path)) if isinstance(sample, Sample)]
    captions = [sample.captions[0].text.lower() for sample in samples]
    clip(folder, sorted({word for caption in captions for word in re.findall(r"\w+", caption)}))
    model = CLIPModel.from_pretrained(folder)
    tokens = PreTrainedTokenizerFast.from_pretrained(folder)(
        captions, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
    )
    images = CLIPImageProcessorPil.from_pretrained(folder)(
        images=[decode_image(sample.images[0].data) for sample in samples], return_tensors="pt"
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2 and "norm" not in name:
                weight.normal_(0, 0.1)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for _ in range(steps):
        rows = torch.randperm(len(samples))[:64]
        batch = {name: value[rows] for name, value in {**tokens, **images}.items() if name != "token_type_ids"}
        loss = model(**batch, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    return folder


MATCHERS: dict[str, Callable[[Path], Path]] = {
    "altclip": altclip,
    "chinese_clip": chinese_clip,
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
}
