"""Arrays enter and leave: ids -> losses -> gradients -> changed weights. No file, no clock, no process."""
