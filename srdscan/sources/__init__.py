"""Where a data set lies and in what form; samples out, and the same form with edits back in."""
