-- 001_init.sql
BEGIN;
CREATE TABLE accounts(id serial PRIMARY KEY, email text, password_plain text);
INSERT INTO accounts(email,password_plain) VALUES ('a@x','secret');
COMMIT;
-- 002_rename.sql
BEGIN;
ALTER TABLE accounts RENAME TO users;
COMMIT;
-- 003_drop_passwords.sql
BEGIN;
ALTER TABLE users DROP COLUMN password_plain;
COMMIT;
