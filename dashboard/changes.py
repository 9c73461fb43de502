"""How much an amount changed since the period before, as KPIs, tables and downloads say it."""

from decimal import ROUND_HALF_UP, Decimal

from sync.metrics import Amount

NEW = "new"  # there was nothing before: no percentage says that
UNCHANGED = "+0.0%"
TENTH, NONE = Decimal("0.1"), Decimal("0.0")


def change(amount: Amount | None, before: Amount | None) -> Decimal | str | None:
    """Return the change in per cent to a tenth, NEW after nothing, or None where one of the two is not known."""
    if amount is None or before is None:
        return None
    if not before:
        return NEW if amount else NONE
    per_cent = Decimal(amount - before) / Decimal(abs(before)) * 100
    return per_cent.quantize(TENTH, ROUND_HALF_UP) + NONE  # which takes the sign from a zero


def text(amount: Amount | None, before: Amount | None) -> str | None:
    """Return e.g. `+12.5%`, `-3.0%` or `new`; the minus is the plain one, from which Streamlit tells the direction."""
    changed = change(amount, before)
    return f"{changed:+,}%" if isinstance(changed, Decimal) else changed
