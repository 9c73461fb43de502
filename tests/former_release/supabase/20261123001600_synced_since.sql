-- Since when there is data at all: before that, nothing was ever asked for.

create or replace function public.ledger_synced_since(p_source text) returns timestamptz
language sql stable set search_path = ''
as $$
    select min(since) from public.covered_periods where source = p_source
$$;
comment on function public.ledger_synced_since is 'Where the first window begins that a successful run covered.';

revoke all on routine public.ledger_synced_since from public, anon, authenticated;
grant execute on routine public.ledger_synced_since to service_role;

insert into public.ledger_migrations (name) values ('20261123001600_synced_since') on conflict do nothing;
notify pgrst, 'reload schema';
