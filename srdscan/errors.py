"""What a user can mend: the message names the option and the remedy."""


class ConfigError(ValueError):
    """The configuration is wrong; the message names the option and the remedy."""
