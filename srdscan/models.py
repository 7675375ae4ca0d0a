"""The models of a run: which there are, how they are loaded, and which weights they are."""

from dataclasses import dataclass

from srdscan.captioners.base import Captioner
from srdscan.captioners.load import load_captioner
from srdscan.config import AuditConfig
from srdscan.device import module_fingerprint, pick_device, reuse_large_allocations
from srdscan.fidelity import SentenceEncoder
from srdscan.language_model import LanguageModel
from srdscan.policy.store import Policy
from srdscan.report.schema import ModelRecord


@dataclass(frozen=True)
class Models:
    """The models of an audit; `captioner` is None in a pair audit."""

    reference: Captioner
    sentence_encoder: SentenceEncoder
    language_model: LanguageModel
    captioner: Captioner | None = None


def load_models(config: AuditConfig, captioner: str | None = None) -> Models:
    """All models of an audit, on its device.

    Args:
        captioner: the captioner under audit, where it is another than the configuration's.
    """
    captioner = captioner or config.captioner
    device = pick_device(config.device)
    if device == "cpu":
        reuse_large_allocations()
    reference = load_captioner(config.reference, device, config.num_beams, config.reference_prompt)
    same = (captioner, config.prompt) == (config.reference, config.reference_prompt)
    suspect = reference if same else captioner and load_captioner(captioner, device, config.num_beams, config.prompt)
    return Models(
        reference=reference,
        sentence_encoder=SentenceEncoder(config.sentence_encoder, device),
        language_model=LanguageModel(config.language_model, device),
        captioner=suspect or None,
    )


def model_records(models: Models, policy: Policy | None = None) -> tuple[ModelRecord, ...]:
    """Names and fingerprints of the models that take part."""
    records = [
        ModelRecord("reference", models.reference.name, models.reference.fingerprint),
        ModelRecord("sentence-encoder", models.sentence_encoder.name, models.sentence_encoder.fingerprint),
        ModelRecord("language-model", models.language_model.name, models.language_model.fingerprint),
    ]
    if models.captioner is not None:
        records.insert(0, ModelRecord("captioner", models.captioner.name, models.captioner.fingerprint))
    if policy is not None:
        records.append(ModelRecord("policy", policy.name, module_fingerprint(policy.network)))
    return tuple(records)
