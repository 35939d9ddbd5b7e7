"""The guide's commands and files fit what is here: a machine or a cluster would take them."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from marmita.drain import NOTICE_S, PATIENCE_S
from marmita.settings import Settings
from tests.deploy.chart.ingress import backend
from tests.deploy.chart.rendering import of_kind, only, valid
from tests.deploy.conftest import DEPLOY, read_yaml
from tests.deploy.deploying import guide
from tests.deploy.deploying.documents import COMPOSE, CONFIGURATION, VALUES, has, paths
from tests.deploy.deploying.installs import INSTALLS, rendered
from tests.e2e.server import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def test_there_is_a_test_for_every_program_that_is_called() -> None:
    assert {words[0] for words in guide.commands()} == {"cp", "docker", "helm", "kubectl", "make"}
    assert len(guide.LOOPS) == 1


def test_every_target_of_make_is_there_and_takes_what_it_is_given() -> None:
    for _, target, *variables in guide.commands("make"):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        for variable in variables:
            name, _, value = variable.partition("=")
            assert re.search(rf"^{name} \??=", MAKEFILE, re.MULTILINE), name
            assert name != "MODEL" or (ROOT / "bentos" / value / "bentofile.yaml").is_file()
    assert "podman" in MAKEFILE


def test_a_container_is_locked_down_as_the_tested_one_is() -> None:
    tested = (ROOT / "tests" / "e2e" / "test_container.py").read_text()
    runs = [words for words in guide.commands("docker") if words[1] == "run"]

    assert len(runs) == 2
    assert all(f'"{flag}"' in tested for flag in LOCKED)
    for words in runs:
        start = words.index("--read-only")
        assert words[start : start + len(LOCKED)] == LOCKED
        assert guide.options(words, "--publish") == ["127.0.0.1:3000:3000"]


def test_a_container_is_given_time_to_end() -> None:
    (stop,) = [words for words in guide.commands("docker") if words[1] == "stop"]
    longest = Settings.model_construct().body_timeout_s + CONFIGURATION["traffic"]["timeout"]

    assert int(*guide.options(stop, "-t")) > NOTICE_S + PATIENCE_S + longest


def test_parts_of_the_configuration_that_are_overridden_are_there() -> None:
    texts = re.findall(r"BENTOML_CONFIG_OVERRIDES(?:=|: |\n    value: )'(.*?)'", guide.TEXT)

    assert len(texts) == guide.TEXT.count("BENTOML_CONFIG_OVERRIDES") == 3
    for text in texts:
        assert all(has({"services": CONFIGURATION}, list(path)) for path in paths(json.loads(text)))


def test_files_for_compose_are_there_and_fit_on_each_other() -> None:
    composes = [words for words in guide.commands("docker") if words[1] == "compose"]
    assert composes
    for words in composes:
        assert all(name in guide.FILES or (ROOT / name).is_file() for name in guide.options(words, "-f"))
    ((_, source, target),) = guide.commands("cp")
    assert (ROOT / source).is_file()
    assert Path(target).parent == Path(source).parent

    more = guide.FILES["more.yaml"]
    environment = more["services"]["marmita"].pop("environment")
    assert all(has(COMPOSE, list(path)) for path in paths(more))
    assert set(environment) == {"BENTOML_CONFIG_OVERRIDES", "MARMITA_MAX_BODY_BYTES"}


def test_the_ports_of_compose_are_those_that_are_published() -> None:
    published = [
        re.findall(r"_PORT:-(\d+)\}", port)[0] for one in COMPOSE["services"].values() for port in one["ports"]
    ]
    (said,) = re.findall(r"The service is on port (.*?), all for this machine only", guide.TEXT)

    assert set(re.findall(r"\d+", said)) == set(published)


@pytest.mark.parametrize("install", INSTALLS, ids=lambda words: " ".join(words[1:2] + words[7:]))
def test_what_is_installed_in_a_cluster_is_valid(install: list[str]) -> None:
    known = {"--install", "--create-namespace", "--namespace", "--values", "--set"}
    assert {word for word in install if word.startswith("--")} <= known

    manifests = rendered(install)

    valid(manifests)
    names = set(of_kind(manifests, "Deployment"))
    assert names in ({"marmita"}, {"marmita-fetal-health", "marmita-stock-forecast", "marmita-wine-quality"})
    assert guide.options(install, "--namespace") == ["models"]


def test_every_shown_file_is_used() -> None:
    used = {name for install in INSTALLS for name in guide.options(install, "--values")}

    assert used | {"more.yaml"} == set(guide.FILES)


def test_the_deployment_that_is_waited_for_is_the_one_that_is_installed() -> None:
    together = of_kind(rendered(INSTALLS[0]), "Deployment")

    waits = [words for words in guide.commands("kubectl") if "rollout" in words]
    assert waits
    for words in waits:
        assert words[-1].removeprefix("deployment/") in together
        assert guide.options(words, "-n") == ["models"]


def test_separate_routes_lead_where_it_says() -> None:
    (install,) = [words for words in INSTALLS if "separate.yaml" in words]
    ingress = only(rendered(install), "Ingress")

    for path in ("/wine-quality/score", "/models/wine_quality", "/v2/models/wine_quality/infer"):
        assert f"`{path}`" in guide.TEXT
        assert backend(ingress, path) == "marmita-wine-quality"
    for path in ("/models", "/docs.json", "/v2", "/v2/health/ready"):
        assert f"`{path}`" in guide.TEXT
        assert backend(ingress, path) is None
        assert backend(ingress, path, "wine-quality.models.example.com") == "marmita-wine-quality"


def test_scaling_goes_by_both_and_prometheus_is_let_in() -> None:
    (install,) = [words for words in INSTALLS if "scaling.yaml" in words]
    manifests = rendered(install)

    assert len(only(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]) == 2
    assert only(manifests, "ServiceMonitor")["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert "monitoring" in json.dumps(only(manifests, "NetworkPolicy")["spec"]["ingress"])
    (asked,) = [words[-1] for words in guide.commands("kubectl") if "--raw" in words]
    assert asked.endswith(f"/namespaces/models/pods/*/{VALUES['autoscaling']['requestsInProgress']['metric']}")


def test_rules_and_dashboards_reach_the_cluster_whole(tmp_path: Path) -> None:
    """The block as it stands, with a kubectl that writes down what it is told."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/told\n[ "$3" = apply ] && cat >>{tmp_path}/applied\nexit 0\n'
    )
    kubectl.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (block,) = guide.LOOPS
    subprocess.run(["bash", "-euc", block], cwd=ROOT, env=environment, check=True, timeout=30)

    applied = re.split(r"^(?=apiVersion)", (tmp_path / "applied").read_text(), flags=re.MULTILINE)[1:]
    rules = {rule["metadata"]["name"]: rule for rule in map(yaml.safe_load, applied)}
    files = {path.stem: read_yaml(path) for path in (DEPLOY / "prometheus" / "rules").iterdir()}
    assert {name: rule["spec"] for name, rule in rules.items()} == {f"marmita-{n}": file for n, file in files.items()}
    assert {rule["kind"] for rule in rules.values()} == {"PrometheusRule"}
    (folder,) = re.findall(r"--from-file=(\S+)", (tmp_path / "told").read_text())
    assert {path.suffix for path in (ROOT / folder).iterdir()} == {".json"}
