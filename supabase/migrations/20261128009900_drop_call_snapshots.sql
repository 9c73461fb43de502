-- The old combined table goes last, and only when nothing in it is newer than what the new tables hold.

do $$
declare
    newest_old timestamptz;
    newest_new timestamptz;
begin
    if to_regclass('public.call_snapshots') is not null then
        select least( -- both tables; least() alone would pass over one that is empty
            coalesce((select max(snapshot_date) from public.twilio_snapshots), '-infinity'),
            coalesce((select max(snapshot_date) from public.elevenlabs_snapshots), '-infinity')
        ) into newest_new;
        -- Read as JSON, since nobody knows all forms that the table has had.
        execute 'select coalesce(max((to_jsonb(old) ->> ''snapshot_date'')::timestamptz), max((to_jsonb(old) ->> ''created_at'')::timestamptz)) '
            'from public.call_snapshots as old' into newest_old;
        if newest_old >= newest_new + interval '1 hour' then
            raise exception 'call_snapshots goes up to %, the new balances only up to %: nothing was dropped.',
                newest_old, case when newest_new = '-infinity' then '(none yet)' else newest_new::text end
                using hint = 'Run `python -m sync all` until both sources are current, then run this file again.';
        end if;
        drop table public.call_snapshots cascade;
    end if;
    insert into public.ledger_migrations (name) values ('20261128009900_drop_call_snapshots') on conflict do nothing;
end $$;
