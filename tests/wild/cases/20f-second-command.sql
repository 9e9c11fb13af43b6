CREATE TABLE t(a int, n text);
\timing \i /tmp/attack1/d/t-inc.sql
INSERT INTO t VALUES (2,'b');
