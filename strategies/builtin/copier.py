"""Copier: trades nothing of its own accord; it copies what its subscriptions say, and closes what they close."""

from strategies.domain import Decision, View
from strategies.params import StrategyParams, param
from strategies.registry import strategy
from strategies.toolkit import Answer, finish, leaves_by_money


class CopierParams(StrategyParams):
    """Parameters of Copier: a guard of its own beside those of the account and of each subscription."""

    stop_loss_money: float | None = param(
        None, group="Management", unit="account currency", help="Net loss that closes a copy.", gt=0, le=1e9
    )


@strategy(slug="copier", version=1, params=CopierParams, title="Copier")
def copier(view: View, params: CopierParams) -> Decision:
    """Copy the positions of another of one's accounts, as the bot's subscriptions say.

    Each position of the provider is a cycle here, closed when the provider's is, by its stops, or by the money stop.
    """
    answer = Answer(view)
    for cycle in view.cycles:
        if not finish(cycle, answer):
            leaves_by_money(cycle, answer, stop=params.stop_loss_money)
    return answer.decision()
