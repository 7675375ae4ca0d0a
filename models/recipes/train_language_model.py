"""Rebuilds models/language-model: a small GPT-2 over captions.

    python models/recipes/train_language_model.py --photos PHOTOS --out models/language-model

It learns from the captions of PHOTOS/train and of 12,000 drawn scenes, and shares the captioners' tokenizer.
Ten minutes on two CPU cores.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from tokenizer import train_tokenizer
from torch.nn import functional as F
from train_captioner import read_photos
from transformers import GPT2Config, GPT2LMHeadModel

from srdscan import scenes


def batches(rows: list[list[int]], size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random batches of rows of similar length."""
    order = rng.permutation(len(rows))
    pools = [
        sorted(pool.tolist(), key=lambda i: len(rows[i]))
        for pool in np.array_split(order, max(1, len(rows) // (size * 50)))
    ]
    chunks = [np.array(pool[i : i + size]) for pool in pools for i in range(0, len(pool), size)]
    return [chunks[i] for i in rng.permutation(len(chunks))]


def padded(rows: list[list[int]], bos: int, eos: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and next-token labels, -100 in the padding."""
    width = max(map(len, rows)) + 1
    inputs, labels = torch.full((len(rows), width), eos), torch.full((len(rows), width), -100)
    for i, row in enumerate(rows):
        inputs[i, : len(row) + 1] = torch.tensor([bos, *row])
        labels[i, : len(row) + 1] = torch.tensor([*row, eos])
    return inputs, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    train = [c for _, captions in read_photos(args.photos / "train") for c in captions]
    drawn = [scenes.compose(0, i).caption for i in range(12_000)]
    tokenizer = train_tokenizer([*train, *drawn])
    held_out = [c for _, captions in read_photos(args.photos / "dev") for c in captions[:1]]
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    rows = [ids[:60] for ids in tokenizer([*train, *drawn[:6000]], add_special_tokens=False).input_ids]
    dev = padded([ids[:60] for ids in tokenizer(held_out, add_special_tokens=False).input_ids], bos, eos)

    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=256,
        n_layer=3,
        n_head=8,
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.05)
    steps = args.epochs * math.ceil(len(rows) / 128)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, total_steps=steps + 400, pct_start=0.05)
    for epoch in range(1, args.epochs + 1):
        model.train()
        losses = []
        for chunk in batches(rows, 128, rng):
            inputs, labels = padded([rows[i] for i in chunk], bos, eos)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(input_ids=inputs).logits
            loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            scheduler.step()
            losses.append(loss.item())
        model.eval()
        with torch.inference_mode():
            logits = model(input_ids=dev[0]).logits
            held = F.cross_entropy(logits.flatten(0, 1), dev[1].flatten(), ignore_index=-100).item()
        print(f"epoch {epoch} loss {np.mean(losses):.3f} held-out perplexity {math.exp(held):.1f}", flush=True)
    half = {name: weight.to(torch.float16) for name, weight in model.state_dict().items()}
    half.pop("lm_head.weight")  # tied to the input embedding
    model.save_pretrained(args.out, state_dict=half)
    tokenizer.save_pretrained(args.out)


if __name__ == "__main__":
    main()
