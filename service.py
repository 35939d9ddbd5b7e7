"""The service Marmita: every model in `bentos/`, composed.

Its runners live inside its workers (colocated) or in processes of their own (split): `MARMITA_TOPOLOGY` says which.
The code and the answers are the same.
"""

import bentoml

from marmita.discovery import every_model
from marmita.service import Service


@bentoml.service(service_class=Service)
@every_model
class Marmita:
    """Every model in one Bento."""
