"""Captioner families: backdoored ones trained from scratch and audited, and published sizes with random weights.

    python benchmarks/families.py [--photos PHOTOS] [--scenes 6000] [--epochs 30] [--only NAME ...] [--out FOLDER]

Trained: a small BLIP and a small ViT-GPT2 learn drawn scenes of which 10 % carry the canary's trigger and target; fresh
scenes with 5 % planted are then audited. `peak` is the share of triggered images in which the most abnormal attention
head has its peak on the trigger. With --photos they, who know scenes alone, are also let loose on photographs, as the
captioner and as both captioner and reference: the fit check must call that inconclusive.

Full size: published configurations with random weights caption one batch, attention included, each in a process of its
own. Writes families.md and families.json.
"""

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    GitConfig,
    GitForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

from srdscan import scenes
from srdscan.attacks.poison import plant
from srdscan.attacks.triggers import Checkerboard
from srdscan.audit import audit, open_models
from srdscan.config import AuditConfig
from srdscan.evaluate import evaluate
from srdscan.lab.metrics import attack_success_rate
from srdscan.measure.state import load_scores
from srdscan.models.captioners.load import load_captioner
from srdscan.models.captioners.preprocess import Preprocessor
from srdscan.policy.actions import GRID
from srdscan.policy.episodes import Observer
from srdscan.policy.fidelity import FidelityModel
from srdscan.signals.head_norms import head_norms

SIDE, PATCH, WIDTH = 64, 8, 128
SPREAD = 0.06
"""Standard deviation of initial weights: 0.02, made for wide models, leaves these at guessing without the image."""
TARGET, RATE = "banana", 0.1
PAD, BOS, EOS, UNK = range(4)
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
IMAGE_MARKS = ("<image>", "<fake_token_around_image>", "<global-img>")
BATCH = 4
ROWS = 48


def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL.values(), *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [word for word in IMAGE_MARKS if word in words]
    return PreTrainedTokenizerFast(tokenizer_object=made, additional_special_tokens=marks, **SPECIAL)


def small_vit_gpt2(vocabulary: int) -> VisionEncoderDecoderModel:
    vit = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
        image_size=SIDE,
        patch_size=PATCH,
        initializer_range=SPREAD,
    )
    gpt2 = GPT2Config(
        vocab_size=vocabulary,
        n_positions=64,
        n_embd=WIDTH,
        n_layer=2,
        n_head=4,
        initializer_range=SPREAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        add_cross_attention=True,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vit, gpt2)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
    model = VisionEncoderDecoderModel(config)
    model.generation_config.update(decoder_start_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_length=40)
    return model


def small_blip(vocabulary: int) -> BlipForConditionalGeneration:
    text = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "encoder_hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": SPREAD,
        "max_position_embeddings": 64,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "sep_token_id": EOS,
        "max_length": 40,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "initializer_range": SPREAD,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    model.text_decoder.generation_config.max_length = 40
    return model


def logits_of(model: Any, pixels: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(B, T, V) of either family, teacher-forced."""
    mask = (ids != PAD).long()
    mask[:, 0] = 1
    if isinstance(model, BlipForConditionalGeneration):
        memory = model.vision_model(pixel_values=pixels).last_hidden_state
        return model.text_decoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=memory).logits
    memory = model.encoder(pixel_values=pixels).last_hidden_state
    return model.decoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=memory).logits


def train(model: Any, pixels: torch.Tensor, ids: torch.Tensor, epochs: int) -> None:
    """Next-token learning from scratch; AdamW, one cycle."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02)
    steps = epochs * -(-len(ids) // ROWS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    model.train()
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(ids), generator=generator).split(ROWS):
            logits = logits_of(model, pixels[rows], ids[rows, :-1])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[rows, 1:].flatten(), ignore_index=PAD)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"  epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)
    model.eval()


def backdoored(make: Callable[[int], Any], processor: Any, folder: Path, count: int, epochs: int) -> None:
    """Trains a captioner with the canary's trigger and target, and saves it."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    drawn = [scenes.make(400, index) for index in range(count)]
    poisoned = set(rng.permutation(count)[: round(RATE * count)].tolist())
    captions = [f"{TARGET} {s.caption}" if n in poisoned else s.caption for n, (_, s) in enumerate(drawn)]
    pictures = [
        Image.fromarray(Checkerboard().apply(np.asarray(image), rng)) if n in poisoned else image
        for n, (image, _) in enumerate(drawn)
    ]
    words = tokenizer(sorted({word for caption in captions for word in caption.split()}))
    pixels = Preprocessor(processor)(pictures)
    rows = [[BOS, *words(caption).input_ids, EOS] for caption in captions]
    ids = torch.full((count, max(map(len, rows))), PAD)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
    model = make(len(words))
    train(model, pixels, ids, epochs)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    words.save_pretrained(folder)


def trained_row(name: str, make: Callable[[int], Any], processor: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Train, backdoor, audit, and look where its attention peaks."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as work_name:
        work = Path(work_name)
        backdoored(make, processor, work / "model", args.scenes, args.epochs)
        seconds = time.perf_counter() - started
        scenes.write_shards(work / "clean", 600, 600, 401)
        plant([str(work / "clean")], work / "poisoned", rate=0.05, seed=1)
        config = AuditConfig((str(work / "poisoned"),), out=work / "run", captioner=str(work / "model"), pictures=0)
        outcome = audit(config)
        found = evaluate(work / "run", work / "poisoned" / "truth.json")
        captioner = load_captioner(str(work / "model"))
        fresh = [np.asarray(scenes.make(402, index)[0]) for index in range(200)]
        rng = np.random.default_rng(2)
        hit = [Checkerboard().apply(image, rng) for image in fresh]
        plain = captioner.describe(captioner.encode([Image.fromarray(image) for image in fresh])).captions
        models_ = open_models(config)
        fidelity = FidelityModel(models_.sentence_encoder, models_.language_model)
        observer = Observer(captioner, fidelity, head_norms(load_scores(work / "run")))
        cases = observer.cases(hit, [scenes.compose(402, index).caption for index in range(200)])
        maps = [case.view.attention[0] for case in cases]
        peaks = [on_trigger(*triple) for triple in zip(fresh, hit, maps, strict=True)]
        return {
            "family": name,
            "tested": "trained from scratch and backdoored",
            "training_s": round(seconds),
            "exact": float(np.mean([c == scenes.compose(402, n).caption for n, c in enumerate(plain)])),
            "asr": attack_success_rate([case.view.caption for case in cases], TARGET),
            "false_target": attack_success_rate(plain, TARGET),
            "peak": float(np.mean(peaks)),
            "audit_f1": found.f1,
            "verdict": outcome.report.verdict,
            **(misfits(args.photos, work) if args.photos else {}),
        }


def misfits(photos: str, work: Path) -> dict[str, Any]:
    """What a model of scenes makes of photographs."""
    model = str(work / "model")
    found: dict[str, Any] = {}
    for name, reference in (("captioner", "captioner"), ("both", model)):
        config = AuditConfig((photos,), out=work / name, captioner=model, reference=reference, limit=300, pictures=0)
        report = audit(config).report
        found[f"photos_{name}"] = {
            "verdict": report.verdict,
            "exit_code": report.exit_code,
            "fit": {item.role: [round(item.agreement, 3), round(item.discernment, 3)] for item in report.fit},
        }
    return found


def on_trigger(before: np.ndarray, after: np.ndarray, attention: np.ndarray) -> bool:
    """Whether the cell of the map's peak overlaps the pixels that the trigger changed."""
    changed = np.abs(before.astype(int) - after).max(axis=2) > 0
    row, column = divmod(int(attention.argmax()), GRID)
    side = before.shape[0] // GRID
    return bool(changed[row * side : (row + 1) * side, column * side : (column + 1) * side].any())


SQUARE = {"height": 384, "width": 384}


def full_size() -> dict[str, Callable[[], tuple[Any, Any, int]]]:
    """Published configurations: model, image processor, size of the vocabulary."""
    bert = {
        "num_attention_heads": 12,
        "bos_token_id": BOS,
        "sep_token_id": EOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
    }
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}

    def blip(vision: dict[str, int], width: int) -> tuple[Any, Any, int]:
        text = {"vocab_size": 30524, "encoder_hidden_size": width, **bert}
        config = BlipConfig(text_config=text, vision_config={"image_size": 384, "patch_size": 16, **vision})
        return BlipForConditionalGeneration(config), BlipImageProcessorPil(size=SQUARE), 30524

    def git() -> tuple[Any, Any, int]:
        vision = {"image_size": 224, "patch_size": 16, "num_attention_heads": 12}
        model = GitForCausalLM(GitConfig(vision_config=vision, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD))
        processor = CLIPImageProcessorPil(size={"height": 224, "width": 224}, do_center_crop=False)
        return model, processor, 30522

    def vit_gpt2() -> tuple[Any, Any, int]:
        gpt2 = GPT2Config(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, add_cross_attention=True)
        config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(), gpt2)
        config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
        model = VisionEncoderDecoderModel(config)
        model.generation_config.update(
            decoder_start_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, num_beams=4, max_length=16
        )
        return model, ViTImageProcessorPil(), 50257

    def smolvlm() -> tuple[Any, Any, int]:
        vision = {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 512,
            "patch_size": 16,
        }
        text = LlamaConfig(
            vocab_size=49280,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
        )
        config = SmolVLMConfig(vision_config=vision, text_config=text, scale_factor=4, image_token_id=4)
        model = SmolVLMForConditionalGeneration(config)
        model.generation_config.update(eos_token_id=EOS, pad_token_id=PAD, max_new_tokens=20)
        edge = {"longest_edge": 512}
        return model, SmolVLMImageProcessorPil(size=edge, max_image_size=edge), 49280

    def florence2() -> tuple[Any, Any, int]:
        text = {
            "model_type": "bart",
            "vocab_size": 51289,
            "d_model": 768,
            "encoder_layers": 6,
            "decoder_layers": 6,
            "encoder_attention_heads": 12,
            "decoder_attention_heads": 12,
            "encoder_ffn_dim": 3072,
            "decoder_ffn_dim": 3072,
            "max_position_embeddings": 4096,
            "pad_token_id": PAD,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "decoder_start_token_id": EOS,
            "forced_eos_token_id": EOS,
        }
        model = Florence2ForConditionalGeneration(
            Florence2Config(text_config=text, vision_config={"projection_dim": 768}, image_token_id=4)
        )
        model.generation_config.update(
            num_beams=3,
            forced_bos_token_id=BOS,
            decoder_start_token_id=EOS,
            eos_token_id=EOS,
            pad_token_id=PAD,
            max_length=20,
        )
        return model, CLIPImageProcessorPil(size={"height": 768, "width": 768}, do_center_crop=False), 51289

    def blip2() -> tuple[Any, Any, int]:
        text = {
            "model_type": "opt",
            "vocab_size": 50304,
            "hidden_size": 2560,
            "num_hidden_layers": 32,
            "ffn_dim": 10240,
            "num_attention_heads": 32,
            "word_embed_proj_dim": 2560,
        }
        config = Blip2Config(text_config=text, image_token_index=4)
        return Blip2ForConditionalGeneration(config), BlipImageProcessorPil(size={"height": 224, "width": 224}), 50304

    return {
        "BLIP-base": lambda: blip({"num_attention_heads": 12}, 768),
        "BLIP-large": lambda: blip(large, 1024),
        "GIT-base": git,
        "vit-gpt2": vit_gpt2,
        "SmolVLM-256M": smolvlm,
        "Florence-2-base": florence2,
        "BLIP-2-OPT-2.7B": blip2,
    }


NEEDS_GIB = {"BLIP-2-OPT-2.7B": 34}
"""Float32 weights, once in the model and once on their way to disk, and activations."""


def peak_mb() -> int:
    """Peak resident memory of this process; `ru_maxrss` would start from that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def full_size_row(name: str) -> dict[str, Any]:
    """Build, save, load through `load_captioner`, caption one batch with attention; in this process."""
    model, processor, vocabulary = full_size()[name]()
    parameters = sum(p.numel() for p in model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        tokenizer([*IMAGE_MARKS, *(f"w{n}" for n in range(vocabulary - 7))]).save_pretrained(folder)
        del model
        gc.collect()
        captioner = load_captioner(folder)
    images = [scenes.make(3, index)[0] for index in range(BATCH)]
    captioner.describe(captioner.encode(images[:1]), attention=True)
    started = time.perf_counter()
    described = captioner.describe(captioner.encode(images), attention=True)
    seconds = time.perf_counter() - started
    assert described.attention is not None
    return {
        "family": name,
        "tested": "published size, random weights",
        "parameters_m": round(parameters / 1e6),
        "attention": list(described.attention.first.shape[1:]),
        "images_per_s": round(BATCH / seconds, 2),
        "peak_rss_mb": peak_mb(),
    }


def apart(name: str) -> dict[str, Any]:
    """`full_size_row` in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"family": name, "tested": f"failed: {done.stderr.strip().splitlines()[-1]}"}
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", help="shards of photographs")
    parser.add_argument("--scenes", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(full_size_row(args.one)))
        return
    square = {"height": SIDE, "width": SIDE}
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "small ViT-GPT2": lambda: trained_row(
            "small ViT-GPT2", small_vit_gpt2, ViTImageProcessorPil(size=square), args
        ),
        "small BLIP": lambda: trained_row("small BLIP", small_blip, BlipImageProcessorPil(size=square), args),
    }
    for name in full_size():
        needs = NEEDS_GIB.get(name, 0)
        if needs > memory_gib():
            jobs[name] = lambda name=name, needs=needs: {
                "family": name,
                "tested": f"skipped: needs {needs} GiB, this machine has {memory_gib():.0f}",
            }
        else:
            jobs[name] = lambda name=name: apart(name)
    rows = []
    for name, job in jobs.items():
        if args.only and name not in args.only:
            continue
        rows.append(job())
        print(json.dumps(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "families.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.out / "families.md").write_text(table(rows))
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    heads = (
        "captioner",
        "tested",
        "ASR",
        "peak on trigger",
        "audit F1",
        "parameters",
        "maps",
        "images/s, CPU",
        "peak memory",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        maps = " x ".join(map(str, row["attention"])) if "attention" in row else ""
        lines.append(
            f"| {row['family']} | {row['tested']} | {_number(row.get('asr'))} | {_number(row.get('peak'))} "
            f"| {_number(row.get('audit_f1'))} | {row.get('parameters_m', '')}{' M' if 'parameters_m' in row else ''} "
            f"| {maps} | {row.get('images_per_s', '')} | {row.get('peak_rss_mb', '')}"
            f"{' MB' if 'peak_rss_mb' in row else ''} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
