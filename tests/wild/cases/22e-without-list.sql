CREATE TABLE t(a int, n text);
COPY public.t FROM stdin;
1	x
NOTICE: foo
\.
