SET DateStyle = 'ISO, DMY';
SET TimeZone = 'UTC';
SET IntervalStyle = 'postgres';
CREATE TABLE t(d date);
INSERT INTO t VALUES ('13/02/2020');
