CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1, :'DBNAME'), (2,:'USER'),(3,:'PORT');
