"""The guide's `helm` commands, and what they install."""

import helm_python as helm

from tests.deploy.chart.rendering import Manifest, render
from tests.deploy.chart.values import MODELS, Values, with_
from tests.deploy.deploying import guide

INSTALLS = [words for words in guide.commands("helm") if "deploy/chart" in words]


def values_of(install: list[str]) -> Values:
    """What a helm command sets."""
    parts = [guide.FILES[name] for name in guide.options(install, "--values")]
    if any("models" in part for part in parts):  # the guide's, and none that came later
        parts.insert(0, {"models": dict.fromkeys(MODELS)})
    return with_(*parts, *(helm.parse_set_string(expression) for expression in guide.options(install, "--set")))


def rendered(install: list[str]) -> list[Manifest]:
    release = install[install.index("deploy/chart") - 1]
    return render(values_of(install), release=release)
