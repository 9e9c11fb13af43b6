NOTICE: x
WARNING: y
CREATE TABLE lonely(a int);
CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1,'x');
