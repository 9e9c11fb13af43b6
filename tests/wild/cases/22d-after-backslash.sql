CREATE TABLE t(a int, n text);
COPY t (a, n) FROM stdin;
1	C:\\dir\\
pg_dump: warning: x
2	b
\.
