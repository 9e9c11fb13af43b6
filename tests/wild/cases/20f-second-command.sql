CREATE TABLE t(a int, n text);
\timing \i more.sql
INSERT INTO t VALUES (2,'b');
