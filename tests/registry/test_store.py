"""A packed model is whole or not there, only the champion is served, and damage is noticed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import bentoml
import pytest
from bentoml.exceptions import BentoMLException, NotFound

from marmita.registry import startup, store
from marmita.registry.store import PackedModel


def repack(champion: PackedModel) -> PackedModel:
    """Pack the same model once more."""
    from bentoml.models import ModelContext

    return store.pack(
        champion.name,
        native=lambda _: None,
        module="",
        context=ModelContext(framework_name="", framework_versions={}),
        compiled=(champion.path / store.COMPILED).read_bytes(),
        contract=champion.contract,
        card=champion.card,
        reference=champion.reference,
        labels={"made": "for a test"},
    )


def test_a_tag_holds_everything_and_shows_its_score(champions: dict[str, PackedModel]) -> None:
    for name, packed in champions.items():
        assert {"compiled.onnx", "contract.json", "card.json", "reference.json", "model.yaml"} <= {
            file.name for file in packed.path.iterdir()
        }
        stored = bentoml.models.get(packed.tag)
        assert stored.info.labels["task"]
        assert stored.info.metadata["value"] == packed.card.headline.value
        assert stored.info.metadata["verdict"]
        assert packed.card.model == name
        assert packed.card.compiled_difference <= 1e-4


def test_a_store_without_champion_says_how_to_make_one(empty_store: Path) -> None:
    with pytest.raises(NotFound, match="python -m training\\.wine_quality"):
        startup.first_version("wine_quality", {})


def test_only_a_promoted_version_is_served(champions: dict[str, PackedModel], empty_store: Path) -> None:
    old = champions["wine_quality"]
    first, second = repack(old), repack(old)

    assert store.champion("wine_quality") is None
    store.promote(first)
    assert str(startup.first_version("wine_quality", first.contract).tag) == first.tag
    store.promote(second)
    assert str(startup.first_version("wine_quality", first.contract).tag) == second.tag
    assert str(bentoml.models.get("wine_quality:latest").tag) == second.tag
    assert [str(model.tag) for model in bentoml.models.list()].count(first.tag) == 1


def test_a_champion_that_was_deleted_is_none(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    store.promote(packed)
    bentoml.models.delete(packed.tag)

    assert store.champion("wine_quality") is None


def test_another_contract_is_refused(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    store.promote(packed)

    with pytest.raises(BentoMLException, match="another contract"):
        startup.first_version("wine_quality", packed.contract | {"features": packed.contract["features"][::-1]})


def test_other_words_for_the_same_features_are_not(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    store.promote(packed)
    reworded = [feature | {"description": "in other words", "high": 1e6} for feature in packed.contract["features"]]

    assert str(startup.first_version("wine_quality", packed.contract | {"features": reworded}).tag) == packed.tag


def test_a_version_that_was_not_promoted_is_named_with_the_reason(
    champions: dict[str, PackedModel], empty_store: Path
) -> None:
    packed = repack(champions["wine_quality"])

    with pytest.raises(NotFound, match=f"{packed.tag}, was not promoted"):
        startup.first_version("wine_quality", packed.contract)


def test_damage_is_noticed(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    store.promote(packed)
    compiled = packed.path / store.COMPILED
    compiled.write_bytes(compiled.read_bytes()[:-1])

    with pytest.raises(BentoMLException, match="damaged"):
        startup.first_version("wine_quality", packed.contract)

    compiled.unlink()
    with pytest.raises(BentoMLException, match="can't be read"):
        startup.first_version("wine_quality", packed.contract)


def test_a_failed_packing_leaves_nothing(champions: dict[str, PackedModel], empty_store: Path) -> None:
    from bentoml.models import ModelContext

    def full_disk(folder: Path) -> None:
        (folder / "half").write_bytes(b"x" * 1000)
        raise OSError(28, "No space left on device")

    old = champions["wine_quality"]
    with pytest.raises(OSError, match="No space left"):
        store.pack(
            "wine_quality",
            native=full_disk,
            module="",
            context=ModelContext(framework_name="", framework_versions={}),
            compiled=b"",
            contract=old.contract,
            card=old.card,
            reference={},
            labels={},
        )

    assert bentoml.models.list() == []
    assert list((empty_store.parent / "tmp").iterdir()) == []


def test_a_killed_run_leaves_no_half_tag(champions: dict[str, PackedModel], empty_store: Path) -> None:
    """Killed where BentoML's own saving would already have made the tag's folder: while the store is written."""
    old = champions["wine_quality"]
    script = f"""
        import os, shutil, signal
        from pathlib import Path
        from bentoml.models import ModelContext
        from marmita.registry import store
        from marmita.registry.card import Card

        def killed(source, target, **_):
            Path(target, "half").write_text("")
            os.kill(os.getpid(), signal.SIGKILL)

        shutil.copytree = killed
        card = Card.model_validate_json(Path({str(old.path / "card.json")!r}).read_text())
        store.pack("wine_quality", native=lambda folder: None, module="", compiled=b"", contract={{}}, card=card,
                   context=ModelContext(framework_name="", framework_versions={{}}), reference={{}}, labels={{}})
    """
    environment = os.environ | {"BENTOML_HOME": str(empty_store.parent), "TMPDIR": str(empty_store.parent)}

    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert bentoml.models.list() == []
    left = sorted(path.suffix for path in (empty_store.parent / "tmp").glob("packing-*"))
    assert left == ["", ".lock"]
    packed = repack(old)
    assert [str(model.tag) for model in bentoml.models.list()] == [packed.tag]
    assert list((empty_store.parent / "tmp").glob("packing-*")) == []


def test_the_native_model_loads_as_bentoml_loads_it(champions: dict[str, PackedModel]) -> None:
    model = bentoml.sklearn.load_model(champions["wine_quality"].tag)

    assert model.predict([[7.4, 0.7, 0, 1.9, 0.076, 11, 34, 0.9978, 3.51, 0.56, 9.4]]).shape == (1,)
