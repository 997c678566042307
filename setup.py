"""Packaging of charnn."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "charnn" / "__init__.py").read_text(), re.MULTILINE)


class BuildWithPresetsAndCorpora(build_py):
    """What lies beside the package travels inside it; an editable installation finds it where it is."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for target, source in self.shipped().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode=1):
        return [*super().get_outputs(include_bytecode), *self.shipped()]

    def get_output_mapping(self):
        return {**super().get_output_mapping(), **self.shipped()}

    def shipped(self):
        """Where each file that travels goes to, and where it lies."""
        files = [*Path("configs").glob("*.yaml"), *Path("corpora").glob("*.txt"), Path("corpora", "README.md")]
        return {str(Path(self.build_lib, "charnn", file)): str(file) for file in sorted(files)}


setup(
    name="charnn",
    version=VERSION[1],
    description="Character-level recurrent networks in NumPy: train on any text, then let it write",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["charnn", "charnn.*"]),
    package_data={"charnn": ["py.typed"], "charnn.export": ["web/*"]},
    cmdclass={"build_py": BuildWithPresetsAndCorpora},
    install_requires=["numpy>=1.24", "click>=8.2", "rich>=15", "pyyaml>=6", "safetensors>=0.4.5"],
    extras_require={
        "mpi": ["mpi4py>=4"],
        "test": [
            *("pytest>=7", "hypothesis>=6.88", "ruff", "mypy", "types-PyYAML", "setuptools>=70.1"),
            "playwright>=1.40",
        ],
    },
    entry_points={"console_scripts": ["charnn = charnn.__main__:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: POSIX",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
