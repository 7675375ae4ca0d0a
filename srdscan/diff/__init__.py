"""Two runs compared: which samples came, went and changed, and which findings are new."""
