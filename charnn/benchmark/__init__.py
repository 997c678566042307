"""What to measure enters; speed on this machine leaves, beside the machine's own limits and, where asked, PyTorch.

``suite`` plans and compares, ``children`` runs every single measurement in a process of its own, which starts in
``child`` and measures with ``measure`` (charnn and the machine) or ``pytorch`` (the only module that imports torch).
"""
