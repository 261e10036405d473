"""What ``search_hyperparameters`` takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import Field, ValidationError, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_core.trained import ModelName, TrainedRef
from saccade_kinds import registry
from saccade_models.search.space import USUAL, Choices, Domain, Range

_POOL = "keras"
#: What all trials have in common, so that they can be compared: what is predicted, of which rows.
_COMMON = ("name", "seed", "target", "task", "sheet", "validation_split", "test_split")
#: By these the validation loss is weighed: two such losses cannot be compared.
_WEIGHING = ("class_weights",)

Metric = Literal["val_accuracy", "val_loss", "val_mae"]
Direction = Literal["maximize", "minimize"]
MeasuredOn = Literal["train", "valid", "test"]


def trainings() -> list[str]:
    """The kinds that can be searched: those that train in this pool, as one run."""
    return [k.name for k in registry.kinds().values() if k.train and not k.parts and _POOL in k.pools]


def _name_trainings(schema: dict[str, Any]) -> None:
    schema["enum"] = trainings()


class SearchHyperparametersParams(Params):
    """Which training, what of it stays the same, what is varied, and how often it is tried."""

    training: str = Field(
        description="The kind of job that each trial is; its inputs are this job's inputs",
        json_schema_extra=_name_trainings,
    )
    name: ModelName = Field(default="model", description="Name in the registry of the best trial's model")
    fixed: dict[str, Any] = Field(
        default={}, max_length=100, description="The training's parameters that stay the same, its target for example"
    )
    space: Annotated[dict[str, Domain], Field(min_length=1, max_length=30)] | None = Field(
        default=None,
        description="The training's parameters that are varied, each in {low, high, log, step} or {choices}; null is "
        "learning_rate, batch_size, hidden_layers and dropout, as far as the training has them and fixed does not say",
    )
    trials: int = Field(default=20, ge=1, le=1000, description="Trainings in all")
    parallel: int = Field(
        default=4, ge=1, le=64, description="Trials of a round: they can run at once, and learn from earlier rounds"
    )
    metric: Metric | None = Field(
        default=None,
        description="Of the validation part, at the best epoch; null is val_accuracy of classes, else val_loss",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Of the search; same seed, same trials (CPU)")
    time_budget_s: float | None = Field(
        default=None, gt=0, description="No round begins once trials have trained so long together; null is no limit"
    )

    @model_validator(mode="after")
    def _fits_the_training(self) -> Self:
        if self.training not in trainings():
            raise ValueError(f"training has to be one of {', '.join(trainings())}, not {self.training!r}")
        if "name" in self.fixed:
            raise ValueError("fixed must not have name: the model's name is the search's own parameter")
        for name, domain in (self.space or {}).items():
            if problem := self._not_varied(name):
                raise ValueError(f"space.{name} {problem}")
            self._check(name, domain)
        self.trial({})
        self.searched()
        return self

    def _not_varied(self, name: str) -> str | None:
        """Why a parameter cannot be of the space; None where it can."""
        if name in self.fixed:
            return "is fixed"
        if name not in self._kind.params.model_fields or name == "name":
            return f"is no parameter of {self.training} that can be varied"
        if name in _COMMON:
            return "cannot be varied: trials that learn or measure something else cannot be compared; give it in fixed"
        if name in _WEIGHING and self.metric == "val_loss":
            return "cannot be varied where trials are compared by val_loss, which it weighs: take val_accuracy"
        return None

    @property
    def _kind(self) -> Kind:
        return registry.get(self.training)

    @property
    def whole(self) -> frozenset[str]:
        """The training's parameters that are whole numbers."""
        fields = self._kind.params.model_fields
        return frozenset(
            name for name, field in fields.items() if int in (k := _kinds_of(field.annotation)) and float not in k
        )

    def trial(self, values: Mapping[str, Any]) -> Params:
        """The training's parameters with these ones of the space. Raises ValueError where they do not fit."""
        given = {**self.fixed, **values, "name": self.name}
        try:
            return self._kind.params.model_validate(given)
        except ValidationError as error:
            told = error.errors()[0]
            place = ".".join(str(part) for part in told["loc"])
            received = f" (received {told['input']!r:.100})" if place else ""
            raise ValueError(f"{self.training}: {place}{': ' if place else ''}{told['msg']}{received}") from None

    def searched(self) -> Mapping[str, Domain]:
        """The space; that of ``USUAL`` which fits, where none was given. Raises ValueError where nothing fits."""
        if self.space is not None:
            return self.space
        usual = {name: domain for name, domain in USUAL.items() if self._is_free(name, domain)}
        if not usual:
            raise ValueError(f"{self.training} has none of {', '.join(USUAL)} that is not fixed: give a space")
        return usual

    def _is_free(self, name: str, domain: Domain) -> bool:
        if name in self.fixed or name not in self._kind.params.model_fields:
            return False
        try:
            self._check(name, domain)
        except ValueError:
            return False
        return True

    def _check(self, name: str, domain: Domain) -> None:
        """Raises ValueError where the training would refuse an end of the range, or a choice."""
        if isinstance(domain, Range) and name in self.whole and not domain.whole:
            raise ValueError(f"space.{name}: low, high and step have to be whole numbers")
        if isinstance(domain, Choices):
            ends: Sequence[Any] = domain.choices
        else:
            ends = [int(end) if name in self.whole else end for end in (domain.low, domain.high)]
        for end in ends:
            self.trial({name: end})


def _kinds_of(annotation: Any) -> set[Any]:
    """The types that a field's annotation allows, itself or one of a union."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return set[Any]().union(*(_kinds_of(part) for part in get_args(annotation)))
    return {annotation}


class SearchHyperparametersTrial(Result):
    """One training of the search."""

    trial: int = Field(description="From 1")
    round: int = Field(description="From 1")
    params: dict[str, Any] = Field(description="What was varied")
    value: float | None = Field(description="Null where it failed")
    epochs_run: int | None = None
    seconds: float | None = None
    error: str | None = None


class SearchHyperparametersResult(Result):
    """The best trial, and all others."""

    best: SearchHyperparametersTrial
    metric: Metric
    direction: Direction
    trials: list[SearchHyperparametersTrial]
    failed: int
    rounds: int
    stopped_by: Literal["trials", "time_budget", "nothing_left"] = Field(
        description="nothing_left: all of a space of choices was tried"
    )
    importance: dict[str, float] = Field(
        description="Each parameter's share of the value's variance (fANOVA); empty where too few trials went well"
    )
    training: dict[str, Any] = Field(description="The result of the best trial's training")
    metrics: dict[str, float | None] = Field(description="The best model on the part measured_on")
    measured_on: MeasuredOn | None = Field(
        description="test: data that no trial was chosen by. valid, where no test part was kept: the part that chose "
        "the best trial, so that metrics are too good. null: the training does not say"
    )
    model: TrainedRef


def _models(params: SearchHyperparametersParams) -> Sequence[str]:
    """What the trainings need, whatever is chosen of the space."""
    kind = registry.get(params.training)
    choices = [(n, d.choices) for n, d in params.searched().items() if isinstance(d, Choices)]
    trials = [params.trial({}), *(params.trial({name: choice}) for name, found in choices for choice in found)]
    return list(dict.fromkeys(name for trial in trials for name in kind.models(trial)))


KIND = Kind(
    name="search_hyperparameters",
    pool=_POOL,
    summary="Search the hyper-parameters of a training, and register the best model.",
    inputs={
        "table": Input(("text", "application"), "What the training takes as table", required=False),
        "dataset": Input(
            ("application",), "What the training takes as dataset", many=True, required=False, max_items=8
        ),
    },
    params=SearchHyperparametersParams,
    result=SearchHyperparametersResult,
    artifacts=(
        Artifact(
            "trials.csv", "Every trial: what was varied, its value, the best so far; an apostrophe before a formula"
        ),
        Artifact("search.png", "The trials, how much each parameter mattered, and the value over each parameter"),
        Artifact("model.h5", "The best trial's network"),
        Artifact("model-card.md", "What the model is, how it was trained, and how it was found"),
        Artifact("*", "What else the best trial's training wrote"),
    ),
    train=True,
    time_limit_s=7 * 86_400,
    memory_mb=12_000,
    parts=True,
    models=_models,
    families=("tabular", "classifier"),
    registers=lambda params: params.name,
)
