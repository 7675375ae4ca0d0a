"""Models are loaded whole or not at all.

transformers fills weights that a checkpoint lacks with random numbers, makes an empty tokenizer where there is none,
and says so in a log at most. An audit by such a model would look like any other.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from srdscan.models.fetch import NEEDED

SHOWN = 3
"""Names of tensors in a message."""

POOLER = r"(^|\.)pooler\."
"""Weights behind the patches or tokens: nothing here reads them, and many checkpoints come without."""


class IncompleteModel(ValueError):
    """A part of a model is missing, or of another shape than its configuration says; a `LOADING_ERRORS`."""


def load_whole(cls: Any, path: str, spare: str | None = None, **options: Any) -> Any:
    """`cls.from_pretrained(path, **options)`, in float32 and from safetensors, with every weight from the checkpoint.

    Args:
        cls: a model class of transformers, or one of its `Auto` classes.
        path: folder or Hub id.
        spare: a pattern for the names of weights that take no part. Where the checkpoint lacks them they are zeros, so
            that the same folder has the same fingerprint each time.

    Raises:
        IncompleteModel: the checkpoint lacks weights, or has some of another shape.
    """
    model, found = cls.from_pretrained(
        path,
        dtype=torch.float32,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        output_loading_info=True,
        **options,
    )
    check_whole(model, found, spare)
    return model


def check_whole(model: Any, found: dict[str, Any], spare: str | None = None) -> None:
    """Refuses a model of which transformers invented a part.

    Args:
        model: as loaded.
        found: what `output_loading_info` says of it; tied weights are not among the missing there.
        spare: as in `load_whole`.

    Raises:
        IncompleteModel: weights are missing or have another shape.
    """
    weights = model.state_dict()
    mismatched = {name: (tuple(stored), tuple(wanted)) for name, stored, wanted in found["mismatched_keys"]}
    if mismatched:
        shown = [f"{name} {stored} for {wanted}" for name, (stored, wanted) in sorted(mismatched.items())]
        raise IncompleteModel(
            f"{len(mismatched)} of its {len(weights)} tensors have another shape than config.json says ({_few(shown)})"
        )
    # Integers are places and counts that the class computes by itself.
    missing = sorted(name for name in found["missing_keys"] if name not in weights or weights[name].is_floating_point())
    unused = [name for name in missing if spare and re.search(spare, name)]
    needed = [name for name in missing if name not in unused]
    if needed:
        raise IncompleteModel(
            f"its weights lack {len(needed)} of {len(weights)} tensors ({_few(needed)}), which would be random numbers"
        )
    with torch.no_grad():
        for name in unused:
            if name in weights:
                weights[name].zero_()


def load_tokenizer(path: str, **options: Any) -> Any:
    """The tokenizer of a model, from its own files.

    Raises:
        IncompleteModel: its files are missing, or it knows no words.
    """
    from transformers import AutoTokenizer

    patterns = NEEDED[-1][0]
    if Path(path).is_dir() and not options and not any(any(Path(path).glob(pattern)) for pattern in patterns):
        raise IncompleteModel("its tokenizer is missing")
    tokenizer = AutoTokenizer.from_pretrained(path, **options)
    check_vocabulary(tokenizer)
    return tokenizer


def check_vocabulary(tokenizer: Any) -> None:
    """Refuses a tokenizer that was made up of special tokens alone.

    Raises:
        IncompleteModel: it knows no words.
    """
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    if not set(tokenizer.get_vocab()) - special:
        raise IncompleteModel("its tokenizer knows no words, only special tokens: tokenizer.json is missing or empty")


def check_normalisation(processor: Any) -> None:
    """Refuses an image processor that is to normalise and does not say with which numbers.

    Raises:
        IncompleteModel: `image_mean` or `image_std` is missing or not one number a channel.
    """
    if not getattr(processor, "do_normalize", False):
        return
    for name in ("image_mean", "image_std"):
        given = getattr(processor, name, None)
        numbers = given if isinstance(given, list | tuple) else [given]
        if not numbers or not all(isinstance(number, int | float) for number in numbers):
            raise IncompleteModel(f"preprocessor_config.json has no {name}, which images are normalised with")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
