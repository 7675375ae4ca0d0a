"""Fine-tune a captioner on shards: `run` is the command, `grid` trains the embedded captioner family."""
