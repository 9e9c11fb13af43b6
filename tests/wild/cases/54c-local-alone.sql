CREATE SCHEMA s;
SET LOCAL search_path = s;
CREATE TABLE two(a int);
INSERT INTO two VALUES (1);
