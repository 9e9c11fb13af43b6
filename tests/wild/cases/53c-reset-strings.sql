SET standard_conforming_strings = off;
CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1,'a\\b');
RESET ALL;
INSERT INTO t VALUES (2,'a\\b');
