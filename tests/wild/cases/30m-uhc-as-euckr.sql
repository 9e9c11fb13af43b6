SET client_encoding = 'EUC_KR';
CREATE TABLE t(a int, n text);
COPY t (a, n) FROM stdin;
1	Œc¹æ°¢ÇÏ
\.
