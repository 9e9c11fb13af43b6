--
-- PostgreSQL database dump
--

\restrict y7ulHXIa99gPO2QvpHTEcRAmGm0yHCW5S2pzTEfSTwg4TXJeZlgfFlmCd6mH016

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: child; Type: TABLE; Schema: public; Owner: nobody
--

CREATE TABLE public.child (
    id integer NOT NULL,
    parent integer
);


ALTER TABLE public.child OWNER TO nobody;

--
-- Name: parent; Type: TABLE; Schema: public; Owner: nobody
--

CREATE TABLE public.parent (
    id integer NOT NULL,
    n text
);


ALTER TABLE public.parent OWNER TO nobody;

--
-- Data for Name: child; Type: TABLE DATA; Schema: public; Owner: nobody
--

COPY public.child (id, parent) FROM stdin;
1	2
2	3
3	4
4	5
5	6
6	7
7	8
8	9
9	10
10	11
11	12
12	13
13	14
14	15
15	16
16	17
17	18
18	19
19	20
20	21
21	22
22	23
23	24
24	25
25	26
26	27
27	28
28	29
29	30
30	31
31	32
32	33
33	34
34	35
35	36
36	37
37	38
38	39
39	40
40	41
41	42
42	43
43	44
44	45
45	46
46	47
47	48
48	49
49	50
50	1
51	2
52	3
53	4
54	5
55	6
56	7
57	8
58	9
59	10
60	11
61	12
62	13
63	14
64	15
65	16
66	17
67	18
68	19
69	20
70	21
71	22
72	23
73	24
74	25
75	26
76	27
77	28
78	29
79	30
80	31
81	32
82	33
83	34
84	35
85	36
86	37
87	38
88	39
89	40
90	41
91	42
92	43
93	44
94	45
95	46
96	47
97	48
98	49
99	50
100	1
101	2
102	3
103	4
104	5
105	6
106	7
107	8
108	9
109	10
110	11
111	12
112	13
113	14
114	15
115	16
116	17
117	18
118	19
119	20
120	21
121	22
122	23
123	24
124	25
125	26
126	27
127	28
128	29
129	30
130	31
131	32
132	33
133	34
134	35
135	36
136	37
137	38
138	39
139	40
140	41
141	42
142	43
143	44
144	45
145	46
146	47
147	48
148	49
149	50
150	1
151	2
152	3
153	4
154	5
155	6
156	7
157	8
158	9
159	10
160	11
161	12
162	13
163	14
164	15
165	16
166	17
167	18
168	19
169	20
170	21
171	22
172	23
173	24
174	25
175	26
176	27
177	28
178	29
179	30
180	31
181	32
182	33
183	34
184	35
185	36
186	37
187	38
188	39
189	40
190	41
191	42
192	43
193	44
194	45
195	46
196	47
197	48
198	49
199	50
200	1
\.


--
-- Data for Name: parent; Type: TABLE DATA; Schema: public; Owner: nobody
--

COPY public.parent (id, n) FROM stdin;
1	p1
pg_dump: warning: connection slow
2	p2
3	p3
4	p4
5	p5
6	p6
7	p7
8	p8
9	p9
10	p10
11	p11
12	p12
13	p13
14	p14
15	p15
16	p16
17	p17
18	p18
19	p19
20	p20
21	p21
22	p22
23	p23
24	p24
25	p25
26	p26
27	p27
28	p28
29	p29
30	p30
31	p31
32	p32
33	p33
34	p34
35	p35
36	p36
37	p37
38	p38
39	p39
40	p40
41	p41
42	p42
43	p43
44	p44
45	p45
46	p46
47	p47
48	p48
49	p49
50	p50
\.


--
-- Name: child child_pkey; Type: CONSTRAINT; Schema: public; Owner: nobody
--

ALTER TABLE ONLY public.child
    ADD CONSTRAINT child_pkey PRIMARY KEY (id);


--
-- Name: parent parent_pkey; Type: CONSTRAINT; Schema: public; Owner: nobody
--

ALTER TABLE ONLY public.parent
    ADD CONSTRAINT parent_pkey PRIMARY KEY (id);


--
-- Name: child child_parent_fkey; Type: FK CONSTRAINT; Schema: public; Owner: nobody
--

ALTER TABLE ONLY public.child
    ADD CONSTRAINT child_parent_fkey FOREIGN KEY (parent) REFERENCES public.parent(id);


--
-- PostgreSQL database dump complete
--

\unrestrict y7ulHXIa99gPO2QvpHTEcRAmGm0yHCW5S2pzTEfSTwg4TXJeZlgfFlmCd6mH016

