"""The settings of this house: environment variables `MARMITA_*`, or the same names in a file `.env`.

How the service is served (workers, batching, timeouts, logging, tracing) is BentoML's business and stands in
`configuration.yaml`.
"""

import os
from functools import cache
from typing import Literal

from bentoml.exceptions import BentoMLConfigException
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One typed object for everything that an operator may set."""

    model_config = SettingsConfigDict(env_prefix="MARMITA_", env_file=".env", extra="ignore", frozen=True)

    topology: Literal["colocated", "split"] = "colocated"
    """Runners inside the workers of the front door, or each in processes of its own."""

    otlp_endpoint: str = ""
    """Where to send traces, if `configuration.yaml` names no other place. Empty: nowhere."""

    max_body_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """A larger request body is answered with 413."""

    body_timeout_s: float = Field(default=20.0, gt=0)
    """A client that has not sent its body by then is answered with 408."""

    def hand_down(self) -> None:
        """Let the processes that this one starts have the same settings: they start in another folder, and would not
        find the `.env` of this one.
        """
        for name, value in self.model_dump().items():
            os.environ[f"MARMITA_{name.upper()}"] = str(value)


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"MARMITA_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise BentoMLConfigException(wrong) from None
