"""Other people's defences, rendered faithfully, to compare with on the same models."""
