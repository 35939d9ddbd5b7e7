"""The service Marmita, composed of every model in `bentos/`.

`MARMITA_TOPOLOGY` selects where its runners live: inside its workers (`colocated`) or in their own processes (`split`).
"""

import bentoml

from marmita.discovery import every_model
from marmita.service import Service


@bentoml.service(service_class=Service)
@every_model
class Marmita:
    """Every model in one Bento."""
