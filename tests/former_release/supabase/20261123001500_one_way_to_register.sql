-- Everything changes the registry through ledger_change_registry: what registered one thing at a time is called no more.

drop function if exists public.ledger_find_or_add_workspace(text);
drop function if exists public.ledger_save_phone(text, bigint, text, timestamptz, timestamptz);
drop function if exists public.ledger_save_agent(text, bigint, text);

insert into public.ledger_migrations (name) values ('20261123001500_one_way_to_register') on conflict do nothing;
notify pgrst, 'reload schema';
