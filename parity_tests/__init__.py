"""The MindSpore package and its PyTorch twin, side by side: same inputs, same answers."""
