"""Bytes that survive: one file whole or not at all, lines in order, a folder that is locked.

Bytes, arrays and JSON documents enter and leave; nothing here knows what a network or a text is.
"""
