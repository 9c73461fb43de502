-- What a hosted project has before the first migration runs. Run by the superuser, once per database; may be repeated.

do $$
begin
    if to_regrole('anon') is null then
        create role anon nologin noinherit;
        create role authenticated nologin noinherit;
        create role service_role nologin noinherit bypassrls;
        create role authenticator login noinherit;
        -- Migrations run as this role, which is no superuser on hosted projects either.
        create role postgres login createdb createrole replication bypassrls;
    end if;
end $$;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
grant pg_monitor, pg_signal_backend to postgres;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

alter database postgres owner to postgres; -- and with it of the schema public

create schema if not exists extensions;
create schema if not exists auth;
grant all on schema extensions to postgres;
grant usage on schema public, extensions, auth to postgres, anon, authenticated, service_role;

-- A new table is open to everybody until its migration says otherwise: the reason for the last-but-one migration.
alter default privileges for role postgres in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to anon, authenticated, service_role;

create or replace function auth.jwt() returns jsonb
language sql stable
as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

create or replace function auth.uid() returns uuid
language sql stable
as $$
    select (auth.jwt() ->> 'sub')::uuid
$$;

create or replace function auth.role() returns text
language sql stable
as $$
    select auth.jwt() ->> 'role'
$$;
