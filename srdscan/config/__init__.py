"""The configuration of each command: one frozen dataclass, from YAML and the command line."""

from srdscan.config.audit import FALLBACK, REPLACE, AuditConfig, most_flagged
from srdscan.config.finetune import FinetuneConfig
from srdscan.config.load import load_config
from srdscan.config.train import TrainConfig
from srdscan.errors import ConfigError

__all__ = [
    "FALLBACK",
    "REPLACE",
    "AuditConfig",
    "ConfigError",
    "FinetuneConfig",
    "TrainConfig",
    "load_config",
    "most_flagged",
]
