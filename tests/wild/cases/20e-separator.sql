CREATE TABLE t(a int, n text);
\echo loading \\ INSERT INTO t VALUES (1,'a');
INSERT INTO t VALUES (2,'b');
