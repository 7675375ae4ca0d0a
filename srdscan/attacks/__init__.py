"""Red-team canaries: known poison to test a gate with, and the raw material of victims."""
