"""Typed parameters of a strategy: one declaration gives the admin form, the API schema, the CLI and the docs."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Lots = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class StrategyParams(BaseModel):
    """Base of every strategy's parameters: frozen, strict about unknown names, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def param(
    default: Any,
    *,
    group: str,
    help: str,  # noqa: A002 - the name that form fields and command lines use
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare one parameter with its default, group of the form, unit, help and bounds."""
    return Field(default, ge=ge, gt=gt, le=le, description=help, json_schema_extra={"group": group, "unit": unit})
