alter table jobs add column cancel_requested_at timestamptz;
