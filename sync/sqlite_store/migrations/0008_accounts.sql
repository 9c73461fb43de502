-- Whose records, runs and covered periods these are: one account of each provider so far.
create table accounts (
    id integer primary key,
    provider text not null,
    connection text not null default 'default', -- the credentials that reach it: those of the environment
    external_id text, -- the provider's own id (AC…); null until it is known
    unique (provider, connection, external_id)
);
insert into accounts (id, provider) values (1, 'twilio'), (2, 'elevenlabs');

alter table calls add column account_id integer not null default 1;
alter table calls add column currency text generated always as (price_unit) virtual; -- the name that all records have for it
alter table elevenlabs_conversations add column account_id integer not null default 2;
alter table elevenlabs_conversations add column currency text not null default 'USD';

alter table sync_runs add column account_id integer;
alter table sync_runs add column currency text; -- the account's when the run began; null before its first price
alter table covered_periods add column account_id integer;
alter table covered_periods add column currency text;

create trigger run_of_account after insert on sync_runs when new.account_id is null
begin
    update sync_runs set
        account_id = (select min(id) from accounts where provider = new.source),
        currency = case new.source when 'twilio' then (select value from store_meta where key = 'price_unit') else 'USD' end
    where id = new.id;
end;

drop trigger run_succeeded;
drop trigger successful_run_added;
create trigger run_succeeded after update of state on sync_runs when new.state = 'ok'
begin
    insert or replace into covered_periods (source, since, until, account_id, currency)
    select new.source, min(new.window_start, coalesce(min(since), new.window_start)),
        max(new.window_end, coalesce(max(until), new.window_end)),
        coalesce(new.account_id, (select min(id) from accounts where provider = new.source)), new.currency
    from covered_periods where source = new.source and since <= new.window_end and until >= new.window_start;
    delete from covered_periods where source = new.source and since > new.window_start and since <= new.window_end;
end;
create trigger successful_run_added after insert on sync_runs when new.state = 'ok'
begin
    update sync_runs set state = 'ok' where id = new.id; -- does what the trigger above does
end;

update sync_runs set
    account_id = (select min(id) from accounts where provider = source),
    currency = case source when 'twilio' then (select value from store_meta where key = 'price_unit') else 'USD' end;
update covered_periods set
    account_id = (select min(id) from accounts where provider = source),
    currency = case source when 'twilio' then (select value from store_meta where key = 'price_unit') else 'USD' end;
