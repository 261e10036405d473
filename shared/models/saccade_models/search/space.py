"""What a search may vary: light (pydantic only), for contracts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from saccade_core.kind import Params

_Scalar = str | bool | int | float | None
Choice = _Scalar | list[_Scalar]


class Range(Params):
    """All numbers from ``low`` to ``high``; of a whole parameter (batch_size) the whole ones. With ``step`` only low,
    low + step, ..., with ``log`` as likely in each order of magnitude."""

    low: float = Field(description="The least value")
    high: float = Field(description="The largest value")
    log: bool = Field(default=False, description="Spread evenly over the orders of magnitude; low is above 0 then")
    step: float | None = Field(default=None, gt=0, description="Only low, low + step, ...; not with log")

    @model_validator(mode="after")
    def _holds_numbers(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low has to be below high, and {self.low:g} is not below {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low has to be above 0 with log, and is {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together")
        return self

    @property
    def whole(self) -> bool:
        """Whether it can be one of a whole parameter."""
        return all(value.is_integer() for value in (self.low, self.high, self.step or 1.0))


class Choices(Params):
    """One of these values, as the training takes them: ``[[64, 32], [128]]`` of hidden_layers."""

    choices: Annotated[list[Choice], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if len({json.dumps(choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("a choice is there twice")
        return self


Domain = Range | Choices

#: What is searched where a request does not say: those of them that the training has.
USUAL: Mapping[str, Domain] = {
    "learning_rate": Range(low=1e-4, high=1e-1, log=True),
    "batch_size": Choices(choices=[16, 32, 64, 128]),
    "hidden_layers": Choices(choices=[[16], [64], [32, 16], [64, 32], [128, 64, 32]]),
    "dropout": Range(low=0.0, high=0.5),
}
