CREATE TABLE t(a int, n text);
COPY t (n, a) FROM stdin;
“quoted	1
\.
