"""Training the generator: scenes, data, losses, the loop."""
