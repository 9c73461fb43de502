"""Copies Twilio calls and ElevenLabs conversations into a store and keeps balances per workspace and hour."""
