"""What the frameworks are called, and what they write alike."""

MINDSPORE, TORCH = "mindspore", "torch"
FRAMEWORKS = (MINDSPORE, TORCH)
MEMORY = "velocity."  # begins the names of what the optimizer keeps of each parameter, in checkpoints
