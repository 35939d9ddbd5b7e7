"""The compose file: valid by the compose specification, and as tight as it says."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from marmita.records.predictions.recorder import SHUTDOWN_S
from marmita.settings import RENAMED, Settings, variable
from marmita.web.shutdown import MAX_IDLE_WAIT_S, NOTICE_S
from tests.deploy.conftest import DEPLOY, missing, program, read_yaml
from tests.e2e.server import ROOT

COMPOSE = read_yaml(DEPLOY / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENVIRONMENT: dict[str, str] = SERVICES["marmita"]["environment"]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])((?:[^{}]|\$\{[^{}]*\})*))?\}")
"""A default may hold one more variable, which is a deprecated name."""
DCLINT = "dclint@3.1.0"
"""The npm package that carries the newest schema of the compose specification."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("npm")
    options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    command = [program("npm", "npm"), "install", *options, DCLINT]
    try:
        subprocess.run(command, capture_output=True, timeout=120, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        missing(f"the npm package {DCLINT}")
    return json.loads((folder / "node_modules" / "dclint" / "schemas" / "compose.schema.json").read_text())


def texts(node: Any) -> Iterator[str]:
    """All strings in a document."""
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def variables() -> dict[str, str]:
    """The variables that the compose file asks for, and what it does when one is empty: `:-` or `:?`."""
    return {name: when_empty for text in texts(COMPOSE) for name, when_empty, _ in VARIABLE.findall(text)}


def in_force(name: str) -> str:
    """What the models' service and the shepherd are told where nobody says otherwise."""
    return resolved((SERVICES["shepherd"]["environment"] | ENVIRONMENT)[name])


def resolved(text: str, **given: str) -> str:
    """What compose makes of a text with these variables in `.env`."""
    return VARIABLE.sub(lambda found: given.get(found[1]) or resolved(found[3], **given), text)


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def test_the_file_follows_the_compose_specification(schema: Any) -> None:
    jsonschema.validate(COMPOSE, schema)


def test_the_specification_is_strict(schema: Any) -> None:
    for wrong in ({"imagee": "x"}, {"image": "x", "deploy": {"resources": {"limits": {"memori": "1G"}}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"services": {"one": wrong}}, schema)


def test_everything_is_there() -> None:
    assert set(SERVICES) == {"marmita", "shepherd", "postgres", "prometheus", "alertmanager", "grafana"}


def test_the_shepherd_is_there_if_it_is_asked_for_and_nobody_waits_for_it() -> None:
    assert {name for name, one in SERVICES.items() if "profiles" in one} == {"shepherd"}
    assert SERVICES["shepherd"]["profiles"] == ["shepherd"]
    assert not [name for name, one in SERVICES.items() if "shepherd" in one.get("depends_on", {})]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    for volume in service.get("volumes", []):
        assert volume.endswith(":ro") or not volume.startswith("."), volume


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]

    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    if name == "shepherd":  # nobody asks it anything
        assert not {"healthcheck", "ports"} & set(service)
        return
    health = service["healthcheck"]
    assert health["test"][0] == "CMD"
    assert seconds(health["timeout"]) <= seconds(health["interval"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_published_on_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith(("127.0.0.1:", "${MARMITA_ADDRESS:-127.0.0.1}:")), port


def test_published_ports_differ() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    ports = [VARIABLE.sub(lambda found: found[3], port).split(":")[1] for port in published]

    assert len(set(ports)) == len(ports) == len(SERVICES) - 2


def test_only_the_models_service_and_the_shepherd_reach_the_database() -> None:
    assert "ports" not in SERVICES["postgres"]
    assert COMPOSE["networks"]["database"] == {"internal": True}
    reach = {name for name, one in SERVICES.items() if "database" in one.get("networks", [])}
    assert reach == {"marmita", "shepherd", "postgres"}
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert {"default", "database"} == set(SERVICES["marmita"]["networks"]) == set(SERVICES["shepherd"]["networks"])


def test_the_models_service_finds_its_database() -> None:
    password = re.escape("${POSTGRES_PASSWORD:?") + r"[^}]+\}"
    said = re.fullmatch(rf"postgresql://(\w+):({password})@(\w+)/(\w+)", ENVIRONMENT["MARMITA_DATABASE_URL"])

    assert said
    database = SERVICES[said[3]]["environment"]
    assert [database[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB")] == [said[1], said[2], said[4]]


def test_the_database_s_health_is_asked_by_tcp_and_as_the_service_asks() -> None:
    _, program, *options = SERVICES["postgres"]["healthcheck"]["test"]

    assert program == "pg_isready"
    assert {"--host=127.0.0.1", "--username=marmita", "--dbname=marmita"} <= set(options)


def test_every_setting_can_be_set_and_is_what_is_taken_by_default() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}
    told = {name: in_force(name) for name in names if name.startswith("MARMITA_")}
    assert set(told) == {f"MARMITA_{name.upper()}" for name in Settings.model_fields}

    usual, named = Settings.model_construct(), {name.removeprefix("MARMITA_").lower(): v for name, v in told.items()}
    assert Settings.model_validate(named | {"database_url": "", "datasets": ""}) == usual


@pytest.mark.parametrize("old", RENAMED)
def test_a_deprecated_name_is_read_where_the_new_one_is_not_set(old: str) -> None:
    new, convert = RENAMED[old]
    text = (SERVICES["shepherd"]["environment"] | ENVIRONMENT)[variable(new)]
    given = {"body_timeout_s": "7", "quality_every_s": "7", "record_days": "7", "record_share": "0.5"}.get(old, "7h")

    assert resolved(text, **{variable(old): given}) == convert(given)
    assert resolved(text, **{variable(old): given, variable(new): "new"}) == "new"


def test_the_service_and_the_shepherd_are_told_the_same_where_they_must_agree_and_else_only_what_they_need() -> None:
    told = SERVICES["shepherd"]["environment"]
    both = {name for name in told if name in ENVIRONMENT and name.startswith("MARMITA_")}

    assert both == {
        "MARMITA_DATABASE_URL",
        "MARMITA_DATASETS",
        "MARMITA_QUALITY_WINDOW",
        "MARMITA_TRAINING_TIMEOUT",
        "MARMITA_YAHOO_URL",
    }
    assert all(told[name] == ENVIRONMENT[name] for name in both)
    own = {name for name in told if name.startswith("MARMITA_")} - both
    assert own == {name for name in variables() if re.match("MARMITA_(SHEPHERD|RETRAIN|MLFLOW|TRAINING_MEMORY)_", name)}


@pytest.mark.parametrize(("secret", "who"), [("MARMITA_MLFLOW_URI", "shepherd"), ("MARMITA_API_KEYS", "marmita")])
def test_a_secret_is_told_to_nobody_who_has_no_use_for_it(secret: str, who: str) -> None:
    assert {name for name, one in SERVICES.items() if secret in " ".join(texts(one))} == {who}


def test_the_shepherd_writes_the_models_that_the_service_reads_and_reads_the_datasets_that_it_writes() -> None:
    shepherd = SERVICES["shepherd"]

    assert shepherd["volumes"] == ["models:/store", "datasets:/datasets:ro"]
    assert shepherd["environment"]["BENTOML_HOME"] == "/store", "a version is made beside the store, and moved into it"
    assert SERVICES["marmita"]["volumes"] == ["models:/store:ro", "datasets:/datasets"]
    assert shepherd["environment"]["MARMITA_DATASETS"] == ENVIRONMENT["MARMITA_DATASETS"] == "/datasets"
    assert shepherd["user"] == SERVICES["marmita"]["user"]


def test_a_training_has_room_beside_the_shepherd_and_what_lies_in_tmp() -> None:
    shepherd = SERVICES["shepherd"]
    limit = VARIABLE.sub(lambda found: found[3], shepherd["deploy"]["resources"]["limits"]["memory"])

    assert int(limit.removesuffix("M")) >= int(in_force("MARMITA_RETRAIN_MEMORY_MB")) + 1024
    assert int(in_force("MARMITA_TRAINING_MEMORY_MB")) <= int(in_force("MARMITA_RETRAIN_MEMORY_MB")), "one at a time"
    assert "size=256m" in shepherd["tmpfs"][0]
    assert "1024 MB more than" in " ".join((DEPLOY / ".env.example").read_text().replace("# ", "").split())


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        if name == "marmita":
            assert service["image"] == "${MARMITA_IMAGE:-marmita:latest}"
        elif name == "shepherd":
            assert service["image"] == "${SHEPHERD_IMAGE:-marmita-shepherd:latest}"
        else:
            assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+|postgres:\d+\.\d+-alpine", service["image"])


def test_each_starts_when_what_it_asks_is_healthy() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    assert {name: set(others) for name, others in waits.items()} == {
        "postgres": set(),
        "marmita": {"postgres"},
        "shepherd": {"postgres"},
        "alertmanager": set(),
        "prometheus": {"marmita", "alertmanager"},
        "grafana": {"prometheus"},
    }
    for others in waits.values():
        assert all(other == {"condition": "service_healthy"} for other in others.values())


def test_the_models_service_runs_as_its_image_wants() -> None:
    service = SERVICES["marmita"]

    assert service["user"] == "1034:1034"
    assert service["environment"]["BENTOML_HOME"] == "/tmp/bentoml"
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert service["healthcheck"]["test"][:3] == ["CMD", "python", "-c"]
    assert "/readyz" in service["healthcheck"]["test"][3]
    timeout = read_yaml(ROOT / "configuration.yaml")["services"]["traffic"]["timeout"]
    longest = seconds(in_force("MARMITA_BODY_TIMEOUT")) + timeout
    assert seconds(service["stop_grace_period"]) > NOTICE_S + MAX_IDLE_WAIT_S + longest + SHUTDOWN_S


def test_there_are_no_passwords_but_those_that_someone_sets() -> None:
    secrets = {
        name: value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name)
    }

    assert set(secrets) == {"GF_SECURITY_ADMIN_PASSWORD", "POSTGRES_PASSWORD", "MARMITA_API_KEYS"}
    assert secrets["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_ADMIN_PASSWORD:?")
    assert secrets["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert secrets["MARMITA_API_KEYS"] == "${MARMITA_API_KEYS:-}"


def test_the_example_names_every_variable_and_gives_none_a_value() -> None:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert set(given) == set(variables()) | {"COMPOSE_PROFILES"}, "the last one is compose's own"
    assert set(given.values()) == {""}


def test_an_empty_value_is_a_default_or_a_refusal() -> None:
    assert set(variables().values()) == {":-", ":?"}


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_the_parts_find_each_other() -> None:
    prometheus = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = read_yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    asked = [
        *(target for one in prometheus["scrape_configs"] for target in one["static_configs"][0]["targets"]),
        *(target for one in prometheus["alerting"]["alertmanagers"] for target in one["static_configs"][0]["targets"]),
        *(urlsplit(source["url"]).netloc for source in sources),
    ]

    published = {f"{name}:{port.rpartition(':')[2]}" for name, one in SERVICES.items() for port in one.get("ports", [])}
    assert set(asked) == published - {"grafana:3000"}
    (provider,) = read_yaml(provisioning / "dashboards" / "marmita.yaml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/service.json"
    assert (DEPLOY / "grafana" / "dashboards" / "service.json").is_file()
