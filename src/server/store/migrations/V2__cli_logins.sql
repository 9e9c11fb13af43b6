create table cli_logins (
    id text primary key,
    poll_token_sha256 bytea not null,
    device_name text not null,
    state text not null check (state in ('pending', 'approved', 'denied')),
    organization_id text references organizations,
    api_key bytea, -- sealed; there from the approval until it is fetched once
    expires_at timestamptz not null,
    created_at timestamptz not null default now()
);
