"""How fluent a caption is, and which of its words is not: a causal language model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from srdscan.models.device import autocast_dtype, module_fingerprint
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain, is_gguf, models_folder, remedy
from srdscan.models.gpt2 import Gpt2, Ragged
from srdscan.models.whole import load_tokenizer, load_whole
from srdscan.text.plain import emoji_as_stops, passages, plain_caption, word_spans, words

Floats = npt.NDArray[np.float32]

PASSAGES_AT_ONCE = 512
"""Passages whose variants are in memory together: captions of thousands of words make millions of tokens."""

WIDEST_ROW = 640
"""Columns of one row of input; attention masks grow with its square."""


class LanguageModel:
    """A causal language model over captions.

    Texts are put in `plain_caption` form first, so that case, spacing and the final full stop cost nothing.

    Args:
        spec: `embedded` (models/language-model), a folder, a Hub id, or a .gguf file (extra `gguf`), whose weights are
            expanded to float32.
        device: a torch device.

    Raises:
        ModelError: the model cannot be loaded.
    """

    def __init__(self, spec: str = "embedded", device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM

        path = str(models_folder() / "language-model") if spec == "embedded" else spec
        folder, options = _gguf_options(path) if is_gguf(path) else (path, {})
        try:
            model: Any = load_whole(AutoModelForCausalLM, folder, **options)
            self.tokenizer: Any = load_tokenizer(folder, **options)
        except LOADING_ERRORS as error:
            raise ModelError(f"--language-model {explain(spec, error, path)}") from error
        self.end = self.tokenizer.eos_token_id
        if self.end is None:
            raise ModelError(f"--language-model {spec}: its tokenizer has no end token, which captions are scored with")
        self.name = spec
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.gpt2 = Gpt2(self.model) if Gpt2.understands(self.model) else None
        self.start = self.end if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id
        self.limit = min(int(getattr(model.config, "max_position_embeddings", 0) or 64), 256) - 2
        self.fingerprint = module_fingerprint(model)

    def log_probs(self, texts: Sequence[str]) -> list[Floats]:
        """ln p of each token given those before; one array a text, of its passages one after another.

        A passage is scored as a text of its own, end token included.
        """
        parts = self._passages(texts)
        unique = list(dict.fromkeys(passage for part in parts.values() for passage in part))
        found = self._score([[row] for row in self._tokenize(unique)])
        place = {passage: values for passage, (values,) in zip(unique, found, strict=True)}
        return [np.concatenate([place[passage] for passage in parts[text]]) for text in texts]

    def log_perplexity(self, texts: Sequence[str]) -> Floats:
        """(N,) float32: ln PPL, the mean of -ln p over tokens."""
        return np.array([-values.mean() for values in self.log_probs(texts)], dtype=np.float32)

    def word_gains(self, texts: Sequence[str]) -> list[Floats]:
        """ONION's word suspicion in logarithms: ln PPL(passage) - ln PPL(passage without word i), for each word.

        Positive where the text reads better without the word. One number for each of `srdscan.text.plain.words`. The
        passage is the word's own, all of an ordinary caption: in a long text one word would hardly change the mean.
        Emoji are words that the model reads as full stops (`emoji_as_stops`): odd within a sentence, 0 at its end.
        Source: Qi et al., ONION, EMNLP 2021, equation 1.
        """
        parts = self._passages(texts)
        unique = list(dict.fromkeys(passage for part in parts.values() for passage in part))
        gains: dict[str, Floats] = {}
        for start in range(0, len(unique), PASSAGES_AT_ONCE):
            gains |= self._gains(unique[start : start + PASSAGES_AT_ONCE])
        return [np.concatenate([gains[passage] for passage in parts[text]]) for text in texts]

    def _gains(self, unique: Sequence[str]) -> dict[str, Floats]:
        """The gain of each word of each passage."""
        families = [_without_each_word(passage) for passage in unique]
        rows = iter(self._tokenize([text for family in families for text in family]))
        found = self._score([[next(rows) for _ in family] for family in families])
        log_ppl = [np.array([-values.mean() for values in family], dtype=np.float32) for family in found]
        return {passage: values[0] - values[1:] for passage, values in zip(unique, log_ppl, strict=True)}

    def _passages(self, texts: Sequence[str]) -> dict[str, list[str]]:
        """Each text's passages, in plain form, cut further until the model takes them whole or one word is left.

        Of a word (with the punctuation around it) that has more tokens than the model takes, the rest is not read.
        """
        return {
            text: [plain_caption(part) for passage in passages(text) for part in self._fitting(passage)]
            for text in dict.fromkeys(texts)
        }

    def _fitting(self, passage: str) -> list[str]:
        if len(passage.encode()) <= self.limit:  # a token is a byte or more
            return [passage]
        count = len(words(passage))
        if count < 2 or len(self.tokenizer(passage, add_special_tokens=False).input_ids) <= self.limit:
            return [passage]
        return [part for half in passages(passage, most=-(-count // 2), whole=1) for part in self._fitting(half)]

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, cut at the model's limit, with the end token."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
        return [[*ids[: self.limit], self.end] for ids in encoded]

    @torch.inference_mode()
    def _score(self, families: Sequence[Sequence[list[int]]]) -> list[list[Floats]]:
        """ln p of every token of every text; families are token lists, each the variants of its first."""
        trees = [tree for number, family in enumerate(families) for tree in _grow(number, family)]
        results: list[list[Floats]] = [[np.zeros(0, np.float32)] * len(family) for family in families]
        for chunk in _by_length([len(tree) for tree in trees]):
            batch = [trees[i] for i in chunk]
            values = self._chosen(batch).cpu().numpy()
            start = 0
            for tree in batch:
                for place, tokens in zip(tree.texts, tree.tokens, strict=True):
                    results[tree.family][place] = values[start : start + len(tokens)]
                    start += len(tokens)
        return results

    def _chosen(self, trees: Sequence["_Tree"]) -> torch.Tensor:
        """(K,) float32 ln p of every token of the trees' texts, text by text."""
        row, column, token = (torch.tensor(part, device=self.device) for part in _picks(trees))
        dtype = autocast_dtype(self.device)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            if self.gpt2 is None:
                return self._logits(trees).log_softmax(-1)[row, column, token]
            starts = torch.tensor([len(tree) for tree in trees], device=self.device).cumsum(0)
            place = column + torch.cat([starts.new_zeros(1), starts[:-1]])[row]
            order = place.argsort(stable=True)
            values = self.gpt2.chosen(self._hidden(self.gpt2, trees), place[order], token[order])
        return torch.empty_like(values).index_copy_(0, order, values)

    def _hidden(self, gpt2: Gpt2, trees: Sequence["_Tree"]) -> torch.Tensor:
        """(N, D) of all inputs of all trees, one after another."""
        rows = Ragged([len(tree) for tree in trees], self.device)
        inputs, positions, _, _ = self._packed(trees)[:, rows.real]
        hidden = self._hidden_from(trees)
        allowed = None if hidden is None else ~hidden[:, None]

        def attend(layer: int, *states: torch.Tensor) -> torch.Tensor:
            queries, keys, values = (gpt2.split(rows.pad(part)).transpose(1, 2) for part in states)
            taken = F.scaled_dot_product_attention(queries, keys, values, allowed, is_causal=allowed is None)
            return rows.pack(taken.transpose(1, 2).flatten(2))

        return gpt2.run(gpt2.embed(inputs, positions), attend)

    def _logits(self, trees: Sequence["_Tree"]) -> torch.Tensor:
        """(B, T, V) float32, of a model of any kind."""
        inputs, positions, _, _ = self._packed(trees)
        hidden = self._hidden_from(trees)
        masks: dict[str, torch.Tensor] = {}
        if hidden is not None:
            lowest = torch.finfo(self.model.dtype).min
            shape = hidden[:, None].shape
            masks["attention_mask"] = torch.zeros(shape, device=self.device).masked_fill(hidden[:, None], lowest)
            masks["position_ids"] = positions
        logits: torch.Tensor = self.model(input_ids=inputs, use_cache=False, **masks).logits
        return logits.float()

    def _packed(self, trees: Sequence["_Tree"]) -> torch.Tensor:
        """(4, B, T): inputs, positions, owners and branches."""
        packed = torch.full((4, len(trees), max(len(tree) for tree in trees)), -1)
        packed[0] = self.start
        packed[1] = 0
        for place, tree in enumerate(trees):
            packed[:, place, : len(tree)] = torch.tensor(
                [[self.start, *tree.inputs[1:]], tree.positions, tree.owners, tree.branches]
            )
        return packed.to(self.device)

    def _hidden_from(self, trees: Sequence["_Tree"]) -> torch.Tensor | None:
        """(B, T, T) what each input may not attend to; None where that is all that follows it.

        Without variants attention is simply causal, and the padding on the right cannot reach back.
        """
        if all(len(tree.texts) == 1 for tree in trees):
            return None
        _, _, owners, branches = self._packed(trees)
        at = torch.arange(owners.shape[1], device=self.device)
        own = (owners[:, :, None] == owners[:, None]) & (at[:, None] >= at)
        trunk = (owners[:, None] == 0) & (branches[:, :, None] >= at)
        allowed: torch.Tensor = own | trunk
        return ~allowed


@dataclass
class _Tree:
    """Texts that begin alike, in one row of input: the first whole (the trunk), of the others what differs.

    A variant attends to the trunk up to where it branches off, and to itself. Leaving each word out of a caption in
    turn so costs half the tokens that separate rows would.

    Attributes:
        family: which family the texts belong to.
        texts: their places in it.
        inputs: token ids that go in; column t's output predicts what follows it. The first stands for the start token.
        positions: place of each input in its own text.
        owners: 0 in the trunk, then the number of the variant in this row.
        branches: the last column of the trunk that each input may attend to; -1 in the trunk.
        columns: for each text, the columns whose outputs predict its tokens.
        tokens: for each text, these tokens.
    """

    family: int
    texts: list[int]
    inputs: list[int]
    positions: list[int]
    owners: list[int]
    branches: list[int]
    columns: list[list[int]]
    tokens: list[list[int]]

    def __len__(self) -> int:
        return len(self.inputs)


def _grow(number: int, family: Sequence[list[int]]) -> Iterator[_Tree]:
    """A family as one tree, or as several with the same trunk where one would be too wide."""
    trunk, *variants = family
    size = len(trunk)

    def fresh() -> _Tree:
        return _Tree(
            number, [0], [0, *trunk[:-1]], list(range(size)), [0] * size, [-1] * size, [list(range(size))], [trunk]
        )

    tree = fresh()
    for place, tokens in enumerate(variants, start=1):
        shared = _common_prefix(trunk, tokens[:-1])
        own = len(tokens) - 1 - shared
        if len(tree) + own > WIDEST_ROW and len(tree.texts) > 1:
            yield tree
            tree = fresh()
        start = len(tree)
        tree.owners += [len(tree.texts)] * own
        tree.texts.append(place)
        tree.inputs += tokens[shared:-1]
        tree.positions += range(shared + 1, shared + 1 + own)
        tree.branches += [shared] * own
        tree.columns.append([*range(shared + 1), *range(start, start + own)])
        tree.tokens.append(tokens)
    yield tree


def _gguf_options(path: str) -> tuple[str, dict[str, str]]:
    """The folder of a .gguf file, and what transformers must be told to read it there.

    Raises:
        ModelError: there is no such file, or a package is missing that reads GGUF.
    """
    if not Path(path).is_file():
        raise ModelError(f"--language-model {path}: {remedy(path)}")
    missing = [name for name in ("gguf", "accelerate") if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"--language-model {path}: GGUF needs {' and '.join(missing)}: pip install 'srdscan[gguf]', or pass a "
            "folder with the same model in safetensors"
        )
    return str(Path(path).parent), {"gguf_file": Path(path).name}


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))


def _picks(trees: Sequence[_Tree]) -> tuple[list[int], list[int], list[int]]:
    """Row, column and token of every prediction that is asked for, text by text."""
    rows = [row for row, tree in enumerate(trees) for tokens in tree.tokens for _ in tokens]
    columns = [column for tree in trees for part in tree.columns for column in part]
    return rows, columns, [token for tree in trees for tokens in tree.tokens for token in tokens]


def _without_each_word(text: str) -> list[str]:
    """A text, then the same without its first word, without its second, and so on; emoji are read as stops."""
    without = [plain_caption(text[:start] + " " + text[end:]) for start, end in word_spans(text)]
    return [emoji_as_stops(variant) for variant in (text, *without)]


def _by_length(lengths: Sequence[int], tokens: int = 1024, spread: float = 1.25) -> Iterator[list[int]]:
    """Indices in batches of at most `tokens` tokens, padding included, whose lengths differ by `spread` at most."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        too_many = (len(batch) + 1) * lengths[index] > tokens
        if batch and (too_many or lengths[index] > spread * lengths[batch[0]] + 2):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
