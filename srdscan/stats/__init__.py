"""Statistics that know nothing of images and captions: p-values and their combination, nearest neighbours."""
