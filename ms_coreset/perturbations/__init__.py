"""What can be done to clean training data: pure functions from arrays to arrays and a manifest."""
