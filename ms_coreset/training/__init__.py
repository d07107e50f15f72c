"""Training: recipes, batches, the loop, checkpoints, and the record of what happened to every sample."""
