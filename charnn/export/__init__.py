"""A trained network enters; a file leaves in which it runs without charnn."""
