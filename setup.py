"""Packaging of charnn."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "charnn" / "__init__.py").read_text(), re.MULTILINE)

setup(
    name="charnn",
    version=VERSION[1],
    description="Character-level recurrent networks in NumPy: train on any text, then let it write",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["charnn", "charnn.*"]),
    package_data={"charnn": ["py.typed"]},
    install_requires=["numpy>=1.24", "click>=8.2", "rich>=13", "pyyaml>=6", "safetensors>=0.4.5"],
    extras_require={"mpi": ["mpi4py>=4"], "test": ["pytest>=7", "hypothesis>=6.88", "ruff", "mypy", "types-PyYAML"]},
    entry_points={"console_scripts": ["charnn = charnn.__main__:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: POSIX",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
