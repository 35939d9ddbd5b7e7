"""The guide's commands and files fit what is here: a machine or a cluster would take them."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from marmita import discovery
from marmita.records.database.database import Database, default_url, insert_into
from marmita.records.database.tables import TrainingRun
from marmita.records.predictions.recorder import SHUTDOWN_S
from marmita.settings import Settings
from marmita.web.shutdown import MAX_IDLE_WAIT_S, NOTICE_S
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
    programs = {"bentoml", "cp", "curl", "docker", "helm", "kubectl", "make", "python"}
    assert {words[0] for words in guide.commands()} == programs
    assert len(guide.LOOPS) == 1


def test_every_target_of_make_is_there_and_takes_what_it_is_given() -> None:
    for _, target, *variables in guide.commands("make"):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        for variable in variables:
            name, _, value = variable.partition("=")
            assert re.search(rf"^{name} \??=", MAKEFILE, re.MULTILINE), name
            assert name != "MODEL" or value in discovery.names()
    assert "podman" in MAKEFILE


def test_a_container_is_locked_down_as_the_tested_one_is() -> None:
    tested = (ROOT / "tests" / "e2e" / "test_container.py").read_text()
    runs = [words for words in guide.commands("docker") if words[1] == "run"]

    assert all(f'"{flag}"' in tested for flag in LOCKED)
    for words in runs:
        start = words.index("--read-only")
        assert words[start : start + len(LOCKED)] == LOCKED
    published = [words for words in runs if "--detach" in words]
    assert len(published) == 2
    assert all(guide.options(words, "--publish") == ["127.0.0.1:3000:3000"] for words in published)


def test_what_is_run_in_an_image_is_a_command_of_the_service() -> None:
    (words,) = [words for words in guide.commands("docker") if words[1] == "run" and "--rm" in words]

    assert guide.options(words, "--entrypoint") == ["python"]
    assert guide.options(words, "--env") == ["MARMITA_DATABASE_URL"]
    assert words[-5:-3] == ["marmita:uafhhmxfsk3z2ax4", "-m"]
    done = subprocess.run([sys.executable, "-m", *words[-3:], "--help"], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_container_is_given_time_to_end() -> None:
    (stop,) = [words for words in guide.commands("docker") if words[1] == "stop"]
    longest = Settings.model_construct().body_timeout.total_seconds() + CONFIGURATION["traffic"]["timeout"]

    assert int(*guide.options(stop, "-t")) > NOTICE_S + MAX_IDLE_WAIT_S + longest + SHUTDOWN_S


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
    assert set(environment) == {"BENTOML_CONFIG_OVERRIDES"}


def test_the_ports_of_compose_are_those_that_are_published() -> None:
    published = [
        re.findall(r"_PORT:-(\d+)\}", port)[0] for one in COMPOSE["services"].values() for port in one.get("ports", [])
    ]
    (said,) = re.findall(r"The service is on port (.*?), all for this machine only", guide.TEXT)

    assert set(re.findall(r"\d+", said)) == set(published)


@pytest.mark.parametrize("install", INSTALLS, ids=lambda words: " ".join(words[1:2] + words[7:]))
def test_what_is_installed_in_a_cluster_is_valid(install: list[str]) -> None:
    known = {"--install", "--create-namespace", "--namespace", "--values", "--set"}
    assert {word for word in install if word.startswith("--")} <= known

    manifests = rendered(install)

    valid(manifests)
    separate = {f"marmita-{model}" for model in guide.FILES["separate.yaml"]["models"]}
    assert set(of_kind(manifests, "Deployment")) in ({"marmita"}, separate)
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


def test_a_backup_of_compose_is_of_its_database() -> None:
    backups = [words for words in guide.commands("docker") if words[1:2] == ["compose"] and "exec" in words]

    assert [words[words.index("exec") + 2 :][:3] for words in backups] == [
        ["postgres", "pg_dump", "--username=marmita"],
        ["postgres", "pg_restore", "--username=marmita"],
    ]
    assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_DB"] == "marmita"


def test_a_backup_of_sqlite_has_what_is_not_in_the_file_yet(tmp_path: Path) -> None:
    ((_, *arguments),) = guide.commands("python")
    database = Database(default_url(tmp_path))
    with database.writing() as session:
        run = {
            "id": "1",
            "model": "m",
            "status": "running",
            "reason": "",
            "started_at": datetime.now(UTC),
            "scores": {},
        }
        session.execute(insert_into(session, TrainingRun), [run])

    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, timeout=60)
    database.close()

    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT model FROM training_runs").fetchall() == [("m",)]


def test_secrets_of_the_cluster_are_those_that_the_chart_is_told_of() -> None:
    made = {words[words.index("generic") + 1] for words in guide.commands("kubectl") if "secret" in words}
    values = guide.FILES["records.yaml"]

    assert made == {values["database"]["existingSecret"], values["apiKeys"]["existingSecret"]}
    lines = re.findall(r"--from-env-file=\S+ +# (\w+)=", guide.TEXT)
    assert lines == [VALUES["database"]["key"], VALUES["apiKeys"]["key"]]


def test_a_key_is_sent_where_one_is_asked_for() -> None:
    ((_, url, *more),) = guide.commands("curl")

    assert url == "http://localhost:3000/labels"
    assert "Authorization: Bearer $KEY" in guide.options(more, "-H")


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
