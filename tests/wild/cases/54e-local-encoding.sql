CREATE TABLE t(a int, n text);
BEGIN;
SET LOCAL client_encoding='LATIN1';
INSERT INTO t VALUES (1,'café');
COMMIT;
INSERT INTO t VALUES (2,'cafÃ©');
