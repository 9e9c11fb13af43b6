CREATE TABLE tmp_import(id int GENERATED ALWAYS AS IDENTITY, n text);
INSERT INTO tmp_import(n) VALUES ('x');
CREATE TABLE t AS SELECT * FROM tmp_import;
DROP TABLE tmp_import;
