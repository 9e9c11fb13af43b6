--
-- PostgreSQL database dump
--

\restrict oH3v5aPAVfN2p2T1x0LWC2EyNqCh1AQqegwTbiDi3dY7mNgryvd5ae4Qfw7EUav

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
-- Name: COPY; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public."COPY" (
    "FROM" text
);


--
-- Name: program; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.program (
    "binary" text,
    "from" integer,
    "to" integer,
    stdin text
);


--
-- Name: stdin; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stdin (
    encoding text,
    a integer
);


--
-- Data for Name: COPY; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public."COPY" ("FROM") FROM stdin;
stdin
\.


--
-- Data for Name: program; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.program ("binary", "from", "to", stdin) FROM stdin;
a	1	2	z
\.


--
-- Data for Name: stdin; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.stdin (encoding, a) FROM stdin;
x	1
\.


--
-- PostgreSQL database dump complete
--

\unrestrict oH3v5aPAVfN2p2T1x0LWC2EyNqCh1AQqegwTbiDi3dY7mNgryvd5ae4Qfw7EUav

