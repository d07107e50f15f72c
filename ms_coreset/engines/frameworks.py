"""Names of the frameworks, and what the checkpoints of both have in common."""

MINDSPORE, TORCH = "mindspore", "torch"
FRAMEWORKS = (MINDSPORE, TORCH)
MEMORY = "velocity."  # begins the names of what the optimizer keeps of each parameter, in checkpoints
