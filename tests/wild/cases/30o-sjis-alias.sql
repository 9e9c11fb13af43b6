SET client_encoding = 'mskanji';
CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1,E'ƒ\'); INSERT INTO t VALUES (2,'x');
INSERT INTO t VALUES (3,'ƒ\•\');
