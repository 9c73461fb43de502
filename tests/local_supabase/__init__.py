"""A Supabase project on this machine: genuine Postgres and PostgREST behind a small gateway; no account, no Docker."""

from tests.local_supabase.stack import LocalSupabase

__all__ = ["LocalSupabase"]
