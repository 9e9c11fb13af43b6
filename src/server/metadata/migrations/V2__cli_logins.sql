alter table api_keys add column name text, add column expires_at timestamptz;

create table cli_logins (
    id text primary key,
    poll_token_sha256 bytea not null,
    device_name text not null,
    state text not null check (state in ('pending', 'approved', 'denied')),
    key_name text,
    key_expires_at timestamptz,
    organization_id text references organizations,
    api_key_id text,
    api_key bytea, -- sealed; there from the approval until it is fetched once
    expires_at timestamptz not null,
    created_at timestamptz not null default now()
);
