CREATE TABLE t(a int, n text);
SET search_path = pg_catalog;
DISCARD ALL;
INSERT INTO t VALUES (1,'x');
