"""Prints a plan in a terminal."""

from rich.console import Console

from autoif.planning.plan import Amount, PlannedStage, RunPlan
from autoif.report.terminal import make_table, print_line, print_notes


def print_plan(plan: RunPlan, console: Console) -> None:
    """Print what a run will ask, stage by stage, what it will make, and notes on the estimate."""
    print_line(f"by the yields of {plan.source}; {plan.entering:,} instructions enter", console)
    numbers = ("answers", "tokens in", "tokens out", "hours", "$")
    table = make_table("stage", *numbers, numbers=numbers)
    table.columns[0].no_wrap = True
    for stage in (*plan.stages, plan.total):
        table.add_row(*_describe_stage(stage), style="bold" if stage is plan.total else None)
    console.print(table)
    console.print()
    made = {
        "instructions": plan.instructions,
        "SFT rows": plan.sft,
        "preference pairs": plan.preferences,
        "prompts for rewards": plan.rewards,
    }
    for name, amount in made.items():
        print_line(f"{describe_amount(amount):>24}  {name}", console)
    print_notes((*plan.over_budget, *plan.notes), console)


def describe_amount(amount: Amount | None, digits: int = 0) -> str:
    """Return an amount with its range, as in "1,200 (900–1,500)"; "?" if it isn't known."""
    if amount is None:
        return "?"
    value, low, high = (
        "" if number is None else _show_number(number, digits) for number in (amount.expected, amount.low, amount.high)
    )
    return f"{value} ({low}–{high})" if low and high and (low, high) != (value, value) else value


def _describe_stage(stage: PlannedStage) -> list[str]:
    amounts = (stage.answers, stage.prompt_tokens, stage.completion_tokens)
    return [stage.stage, *map(describe_amount, amounts), describe_amount(stage.hours, 2), describe_amount(stage.usd, 2)]


def _show_number(number: float, digits: int) -> str:
    """Return a number with a suffix: "k" from ten thousand, "M" from a million, "G" from a billion."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if sign == 'k' else size):,.3g}{sign}"
    return f"{number:,.{digits}f}"
