"""The same model once more, as another version."""

from bentoml.models import ModelContext

from marmita.registry import packed_model
from marmita.registry.card import GateVerdict
from marmita.registry.packed_model import PackedModel


def repack(champion: PackedModel, verdict: GateVerdict | None = None) -> PackedModel:
    """Pack the same model once more, with another verdict if one is given."""
    card = champion.card
    return packed_model.save(
        champion.name,
        native=lambda _: None,
        module="",
        context=ModelContext(framework_name="", framework_versions={}),
        compiled=(champion.path / packed_model.COMPILED).read_bytes(),
        contract=champion.contract,
        card=card.model_copy(update={"verdict": verdict or card.verdict}),
        reference=champion.reference,
        labels={"made": "for a test"},
    )
