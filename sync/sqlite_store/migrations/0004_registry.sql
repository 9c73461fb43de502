-- What a change of ownership looks up: the records of a number in a period.
create index calls_number_started_at on calls (our_number, started_at);
drop index calls_our_number;
create index conversations_number_started_at on elevenlabs_conversations (agent_number, started_at);
drop index conversations_agent_number;

-- The number of a deleted workspace is not given to the next one: links and caches may still name it.
create trigger workspace_ids_are_used_once after delete on workspaces
begin
    insert into store_meta values ('last_workspace', old.id)
    on conflict do update set value = max(cast(value as integer), old.id);
end;
