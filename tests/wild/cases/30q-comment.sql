-- Sicherung der Datenbank für Müller
CREATE TABLE t(a int, n text);
INSERT INTO t VALUES (1,'a');
