"""The store of production: a Supabase project, reached with supabase-py; all work on many rows is in SQL functions."""

from sync.supabase_store.store import SupabaseStore

__all__ = ["SupabaseStore"]
