SET client_encoding = 'LATIN1';
CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1,'café');
RESET ALL;
INSERT INTO t VALUES (2,'cafÃ©');
