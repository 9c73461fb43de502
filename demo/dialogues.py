"""What agents and callers say: short made-up dialogues, the same ones for the same conversation."""

GREETING = "Thank you for calling. How can I help you today?"
FAREWELL = "You are all set. Is there anything else I can do for you?"
EXCHANGES = (
    ("Hi, I am calling about my {trade}.", "Of course. May I have your name, please?"),
    (
        "It is Taylor, I called last week as well.",
        "Thank you, I have found your {trade}. What would you like to change?",
    ),
    ("Could we move it to Thursday?", "Thursday works. Would the morning or the afternoon suit you better?"),
    ("The afternoon, if that is possible.", "I have half past two or four o'clock for your {trade}."),
    ("How much will the {trade} cost?", "That depends on the details. I can have a colleague send you an estimate."),
    ("Can someone call me back?", "Certainly. What is the best time to reach you?"),
    ("I would rather speak to a person.", "I understand. Let me see who is free right now."),
    ("Do I need to bring anything?", "No, we have everything that is needed for the {trade}."),
    ("Could you confirm that by message?", "I am sending you a confirmation of your {trade} now."),
    ("Where are you exactly?", "We are right by the station, and there is parking behind the building."),
)


def transcript(trade: str, visitor: str, turns: int, seconds: int) -> list[dict[str, object]]:
    """Write `turns` turns spread over `seconds`; `visitor` (hex digits) decides what is said."""
    lines = _lines(trade, int(visitor, 16), turns)
    return [
        {
            "role": "user" if place % 2 else "agent",
            "message": line,
            "tool_calls": [],
            "tool_results": [],
            "feedback": None,
            "time_in_call_secs": place * seconds // max(turns, 1),
            "interrupted": False,
        }
        for place, line in enumerate(lines)
    ]


def summary(trade: str) -> str:
    return f"The caller asked about a {trade}; the agent answered and confirmed the next step."


def _lines(trade: str, choice: int, turns: int) -> list[str]:
    """Greet first, then answer one question after another; an agent's last word says goodbye."""
    said = [GREETING]
    for step in range(turns // 2):
        question, answer = EXCHANGES[(choice + step) % len(EXCHANGES)]
        said += [question.format(trade=trade), answer.format(trade=trade)]
    said = said[:turns]
    if turns % 2 and turns > 1:
        said[-1] = FAREWELL
    return said
