CREATE SCHEMA s;
SELECT set_config('search_path','s',true);
CREATE TABLE two(a int);
INSERT INTO two VALUES (1);
