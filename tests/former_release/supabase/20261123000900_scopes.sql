-- For somebody who may see some workspaces alone: when those were active, and calls of which all records are theirs.

drop function if exists public.ledger_active_hours(text);
create or replace function public.ledger_active_hours_of(p_source text, p_workspaces bigint[]) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_array(min(first), max(last)) from (
        select
            case p_source
                when 'twilio' then (select min(snapshot_date) from public.twilio_snapshots where workspace_id = w.id)
                else (select min(snapshot_date) from public.elevenlabs_snapshots where workspace_id = w.id)
            end as first,
            case p_source
                when 'twilio' then (select max(snapshot_date) from public.twilio_snapshots where workspace_id = w.id)
                else (select max(snapshot_date) from public.elevenlabs_snapshots where workspace_id = w.id)
            end as last
        from public.workspaces as w where p_workspaces is null or w.id = any (p_workspaces)
    ) as activity
$$;
comment on function public.ledger_active_hours_of is
    'The first and the last hour with activity of these workspaces (null is all); null when there is none.';

create or replace function public.ledger_kind_of_call(p_kind jsonb) returns text
language sql immutable set search_path = ''
as $$
    select concat_ws(' and ', 'true',
        case when p_kind ->> 'exclusive' = 'true' then
            '($3 is null or call.workspace_id = any ($3) and not (call.is_shared and exists (
                select from public.call_members as member
                    left join public.calls as leg on leg.sid = member.record_id
                    left join public.elevenlabs_conversations as talk on talk.conversation_id = member.record_id
                where member.call_id = call.call_id
                    and coalesce(leg.workspace_id, talk.workspace_id) <> all ($3)
            )))'
        end,
        'call.match = ' || quote_literal(p_kind ->> 'match'),
        'call.direction like ' || quote_literal((p_kind ->> 'direction') || '%'),
        'call.status = ' || quote_literal(p_kind ->> 'status'),
        case
            when p_kind ->> 'digits' = '' then 'false' -- neither a number nor an id was searched
            else 'call.numbers like ' || quote_literal('%' || (p_kind ->> 'digits') || ' %')
        end,
        'call.call_id = coalesce((select call_id from public.call_members where record_id = '
            || quote_literal(p_kind ->> 'id') || '), ' || quote_literal(p_kind ->> 'id') || ')'
    )
$$;
comment on function public.ledger_kind_of_call is
    'The condition for what a call is, whenever it was; if it is exclusive, every record of it belongs to $3.';

revoke all on function public.ledger_active_hours_of(text, bigint[]) from public, anon, authenticated;
grant execute on function public.ledger_active_hours_of(text, bigint[]) to service_role;

insert into public.ledger_migrations (name) values ('20261123000900_scopes') on conflict do nothing;
notify pgrst, 'reload schema';
