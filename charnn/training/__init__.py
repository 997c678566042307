"""A run enters; it is trained, on one process or many, and tells what happens as events. Nothing is printed."""
