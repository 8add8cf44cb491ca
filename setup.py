"""What pyproject.toml cannot say: found packages, and one that lies elsewhere in a checkout."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lolora_core*", "app*"]), "lolora_core.assets"],
    package_dir={"lolora_core.assets": "assets"},
)
