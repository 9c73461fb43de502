"""Conversations, agents and numbers as ElevenLabs writes them: unix seconds, exact numbers, null until known."""

from functools import cache

from demo.agents import Agent
from demo.conversations import Conversation
from demo.dialogues import summary, transcript
from demo.elevenlabs_bills import charging, charging_to_come, cost, cost_fiat
from demo.fleet import Line
from demo.identifiers import digest

AGENTS_SINCE = 1_741_000_000

Record = dict[str, object]


def summary_record(talk: Conversation, now: int) -> Record:
    """Write a conversation as the list shows it at `now` (unix seconds)."""
    is_billed = talk.is_billed_at(now)
    turns = talk.turns_at(now)
    return {
        "agent_id": talk.agent.agent_id,
        "agent_name": talk.agent.name,
        "branch_id": None,
        "version_id": None,
        "conversation_id": talk.conversation_id,
        "start_time_unix_secs": talk.started,
        "call_duration_secs": talk.duration_at(now),
        "message_count": turns,
        "user_message_count": turns // 2,
        "agent_message_count": turns - turns // 2,
        "status": talk.status_at(now),
        "termination_reason": termination_reason(talk, now),
        "call_successful": verdict(talk) if is_billed else "unknown",
        "transcript_summary": None,
        "call_summary_title": f"About a {talk.trade}" if is_billed and not talk.error else None,
        "main_language": "en",
        "conversation_initiation_source": talk.source,
        "tool_names": [],
        "direction": direction(talk),
        "rating": None,
        "tag_ids": [],
        "cost": cost(talk) if is_billed else None,
        "cost_fiat": cost_fiat(talk) if is_billed else None,
    }


def conversation_record(talk: Conversation, now: int) -> Record:
    """Write a conversation with its transcript and bill as they are at `now` (unix seconds)."""
    has_audio = talk.is_billed_at(now) and not talk.text_only and talk.turns > 0
    return {
        "agent_id": talk.agent.agent_id,
        "agent_name": talk.agent.name,
        "conversation_id": talk.conversation_id,
        "conversation_product": "agent",
        "status": talk.status_at(now),
        "user_id": None,
        "branch_id": None,
        "version_id": None,
        "environment": "production",
        "metadata": metadata(talk, now),
        "analysis": analysis(talk) if talk.is_billed_at(now) and talk.turns else None,
        "visited_agents": [{"agent_id": talk.agent.agent_id, "branch_id": None}],
        "conversation_initiation_client_data": {},
        "has_audio": has_audio,
        "has_user_audio": has_audio,
        "has_response_audio": has_audio,
        "has_auxiliary_audio": False,
        "transcript": transcript(talk.trade, talk.visitor, talk.turns_at(now), talk.duration_at(now)),
        "tag_ids": [],
    }


def metadata(talk: Conversation, now: int) -> Record:
    is_billed = talk.is_billed_at(now)
    return {
        "start_time_unix_secs": talk.started,
        "accepted_time_unix_secs": talk.started if talk.turns else None,
        "call_duration_secs": talk.duration_at(now),
        "cost": cost(talk) if is_billed else None,
        "cost_fiat": cost_fiat(talk) if is_billed else None,
        "authorization_method": "whatsapp" if talk.source == "whatsapp" else "public",
        "charging": charging(talk.charges, is_old=talk.is_old) if is_billed else charging_to_come(),
        "phone_call": phone_call(talk),
        "batch_call": None,
        "termination_reason": termination_reason(talk, now),
        "error": error(talk) if is_billed else None,
        "warnings": [],
        "main_language": "en",
        "text_only": talk.text_only,
        "initiator_id": None,
        "conversation_initiation_source": talk.source,
        "timezone": None,
        "whatsapp": whatsapp(talk) if talk.source == "whatsapp" else None,
        "sms": sms(talk),
        "voice_rewards": [],
        "deletion_settings": {
            "deletion_time_unix_secs": None,
            "delete_transcript_and_pii": False,
            "delete_audio": False,
        },
    }


def phone_call(talk: Conversation) -> Record | None:
    """Name both sides and the Twilio leg, or nothing for a conversation without a phone."""
    leg = talk.leg
    if talk.line and talk.source == "sip_trunk":
        return {
            "type": "sip_trunking",
            "direction": "inbound",
            "phone_number_id": phone_number_id(talk.line.number),
            "agent_number": talk.line.written,
            "external_number": talk.line.party,
            "call_id": None,
            "call_sid": f"SCL_{digest('trunk', talk.conversation_id)[:12]}",
            "sip_header_dynamic_variables": {},
        }
    if leg is None or leg.line_number is None:
        return None
    return {
        "type": "twilio",
        "direction": direction(talk),
        "phone_number_id": phone_number_id(leg.line_number),
        "agent_number": leg.line_number,
        "external_number": leg.caller if leg.direction == "inbound" else leg.called,
        "stream_sid": f"MZ{digest('stream', leg.sid)[:32]}",
        "call_sid": leg.sid,
    }


def sms(talk: Conversation) -> Record | None:
    if talk.line is None or talk.source != "twilio_sms":
        return None
    return {
        "direction": "inbound",
        "phone_number_id": phone_number_id(talk.line.number),
        "sms_user_phone_number": talk.line.party,
        "agent_phone_number": talk.line.written,
    }


def whatsapp(talk: Conversation) -> Record:
    return {"direction": "inbound", "whatsapp_phone_number_id": "wa_lucia", "whatsapp_user_id": talk.visitor}


def direction(talk: Conversation) -> str | None:
    if talk.leg is None:
        return "inbound" if talk.line else None
    return "inbound" if talk.leg.direction == "inbound" else "outbound"


def error(talk: Conversation) -> Record | None:
    return {"code": talk.error[0], "reason": talk.error[1]} if talk.error else None


def termination_reason(talk: Conversation, now: int) -> str:
    return "Call ended by remote party" if now >= talk.ended and not talk.error else ""


def verdict(talk: Conversation) -> str:
    if talk.error:
        return "unknown"
    return "failure" if talk.visitor.startswith("0") else "success"


def analysis(talk: Conversation) -> Record:
    return {
        "evaluation_criteria_results": {},
        "data_collection_results": {},
        "call_successful": verdict(talk),
        "transcript_summary": summary(talk.trade),
        "call_summary_title": f"About a {talk.trade}",
    }


def agent_record(agent: Agent) -> Record:
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "tags": [],
        "created_at_unix_secs": AGENTS_SINCE,
        "access_info": {
            "is_creator": True,
            "creator_name": "Demo Agency",
            "creator_email": "team@agency.example",
            "role": "admin",
        },
        "last_call_time_unix_secs": None,
        "archived": False,
    }


def number_record(line: Line) -> Record:
    return {
        "phone_number": line.number,
        "label": line.label,
        "phone_number_id": phone_number_id(line.number),
        "supports_inbound": True,
        "supports_outbound": True,
        "provider": "twilio",
        "assigned_agent": {"agent_id": line.agent.agent_id, "agent_name": line.agent.name},
    }


@cache
def phone_number_id(number: str) -> str:
    return f"phnum_{digest('number', number)[:28]}"
