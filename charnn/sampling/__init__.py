"""A model, a prompt and a seed enter; text leaves, one character at a time: step, truncate, draw, stop."""
