-- A number that was written into the table by hand is attributed when it is registered once more.

create or replace function public.ledger_edit_number(
    p_phone bigint, p_label text, p_from timestamptz, p_until timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    held public.workspace_phones;
begin
    select * into held from public.workspace_phones where id = p_phone;
    if not found then
        perform public.ledger_refuse('no period');
    end if;
    update public.workspace_phones set label = p_label, valid_from = p_from, valid_until = p_until where id = p_phone;
    if (held.valid_from, held.valid_until) is not distinct from (p_from, p_until) then
        return public.ledger_touched(held.phone_number, p_from, p_until);
    end if;
    return public.ledger_touched( -- what belongs to one of the two periods only
        held.phone_number,
        least(coalesce(held.valid_from, '-infinity'), coalesce(p_from, '-infinity')),
        greatest(coalesce(held.valid_from, '-infinity'), coalesce(p_from, '-infinity'))
    ) || public.ledger_touched(
        held.phone_number,
        least(coalesce(held.valid_until, 'infinity'), coalesce(p_until, 'infinity')),
        greatest(coalesce(held.valid_until, 'infinity'), coalesce(p_until, 'infinity'))
    );
end
$$;

insert into public.ledger_migrations (name) values ('20261123001700_registered_by_hand') on conflict do nothing;
notify pgrst, 'reload schema';
