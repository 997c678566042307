"""A configuration and a text, or a finished run, enter; what training would be and what to try next leave."""
