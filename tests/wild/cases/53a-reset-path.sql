CREATE SCHEMA s;
SET search_path = s;
CREATE TABLE one(a int);
RESET ALL;
CREATE TABLE two(a int);
INSERT INTO two VALUES (1);
