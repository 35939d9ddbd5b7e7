"""The models that a Bento was built with."""

from pathlib import Path

import yaml


def bento_models(manifest: Path) -> list[str]:
    """Return the tags of the models that a `bento.yaml` names."""
    bento = yaml.safe_load(manifest.read_text())
    return [model["tag"] for service in bento["services"] for model in service["models"]] + [
        model["tag"] for model in bento["models"]
    ]
