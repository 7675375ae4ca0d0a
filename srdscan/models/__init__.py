"""Models that look at images and captions: captioners, sentence encoder, language model; and how they are loaded."""
