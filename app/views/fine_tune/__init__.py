"""Fine-tune: several methods race on one task, live."""
