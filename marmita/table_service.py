"""The service of a Bento with table models only, such as `marmita bento churn` builds."""

import bentoml

from marmita.service import Service


@bentoml.service(service_class=Service)
class Tables:
    """Table models: packed models that are served without code."""
