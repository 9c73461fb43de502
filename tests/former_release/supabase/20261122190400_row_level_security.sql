-- Who may do what: anonymous callers nothing, signed-in people read, only the service role writes and calls functions.
-- The 12-hour system's policy "Allow all for authenticated users" was FOR ALL USING (true) for everyone, anonymous
-- callers included; it is replaced.

do $$
declare
    ledger_table text;
begin
    foreach ledger_table in array array[
        'workspaces', 'workspace_phones', 'workspace_agents', 'calls', 'elevenlabs_conversations', 'twilio_snapshots',
        'elevenlabs_snapshots', 'sync_runs', 'sync_failures'
    ]
    loop
        execute format('alter table public.%I enable row level security', ledger_table);
        execute format('drop policy if exists "Allow all for authenticated users" on public.%I', ledger_table);
        execute format('drop policy if exists "Signed-in people read" on public.%I', ledger_table);
        execute format(
            'create policy "Signed-in people read" on public.%I for select to authenticated using (true)', ledger_table
        );
        execute format('revoke all on public.%I from anon, authenticated', ledger_table);
        execute format('grant select on public.%I to authenticated', ledger_table);
        execute format('grant all on public.%I to service_role', ledger_table);
    end loop;
    foreach ledger_table in array array['ledger_migrations', 'ledger_meta', 'stale_balances']
    loop
        execute format('alter table public.%I enable row level security', ledger_table);
        execute format('revoke all on public.%I from anon, authenticated', ledger_table);
        execute format('grant all on public.%I to service_role', ledger_table);
    end loop;
end $$;

do $$
declare
    ledger_function regprocedure;
begin
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'ledger\_%'
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

do $$
declare
    ledger_sequence text;
begin
    foreach ledger_sequence in array array[
        'workspaces_id_seq', 'workspace_phones_id_seq', 'twilio_snapshots_id_seq', 'elevenlabs_snapshots_id_seq',
        'sync_runs_id_seq'
    ]
    loop
        if to_regclass('public.' || ledger_sequence) is not null then
            execute format('revoke all on sequence public.%I from anon, authenticated', ledger_sequence);
            execute format('grant all on sequence public.%I to service_role', ledger_sequence);
        end if;
    end loop;
end $$;

insert into public.ledger_migrations (name) values ('20261122190400_row_level_security') on conflict do nothing;
notify pgrst, 'reload schema';
