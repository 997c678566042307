"""Texts and a configuration enter, or a run folder; a run leaves: made, looked at, or opened where it stopped."""
