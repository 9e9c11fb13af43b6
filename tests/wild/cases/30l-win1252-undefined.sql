SET client_encoding = 'WIN1252';
CREATE TABLE t(a int, n text);
COPY t (a,n) FROM stdin;
1	aÅb
\.
