"""The events of a training enter; its display leaves: a whole screen, one line, or plain lines."""
