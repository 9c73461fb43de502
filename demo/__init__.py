"""Simulated Twilio and ElevenLabs: one made-up agency, served in both providers' wire format over HTTP."""
