"""Your weights: where a fine-tune lives, and its adapter as a file."""
