"""Train texture generators with PyTorch."""
