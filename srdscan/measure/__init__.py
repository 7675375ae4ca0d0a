"""Pass 1: a unit in, a score file out; and the way back from its rows to the images."""
