CREATE TABLE t(a int, n text);
\set x 1
CREATE TABLE f(v bool);
INSERT INTO f VALUES (:{?x});
