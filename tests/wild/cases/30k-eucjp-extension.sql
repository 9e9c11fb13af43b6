--
-- PostgreSQL database dump
--

\restrict I3cGVsV1CpFiMMDjK6F4HCYKzUgpDtYkqtd0ojfLRPL3b8w4lWLhJ9V30BCfOfr

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'EUC_JP';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: tabs; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA tabs;


--
-- Name: tabe; Type: TYPE; Schema: tabs; Owner: -
--

CREATE TYPE tabs.tabe AS ENUM (
    'É½¼¨',
    'b'
);


--
-- Name: f2(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f2(x text DEFAULT 'É½¼¨'::text) RETURNS text
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT (x || 'É½¼¨'::text);
END;


--
-- Name: tabf(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.tabf() RETURNS text
    LANGUAGE sql
    AS $$ select 'É½¼¨'::text /* tab */ $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: tabt; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tabt (
    tabid integer NOT NULL,
    tabc text,
    e tabs.tabe
);


--
-- Name: TABLE tabt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.tabt IS 'É½¼¨ it''s';


--
-- Name: tabv; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.tabv AS
 SELECT tabid AS tabz,
    'É½¼¨'::text AS q
   FROM public.tabt;


--
-- Name: tabu; Type: TABLE; Schema: tabs; Owner: -
--

CREATE TABLE tabs.tabu (
    a integer,
    b text,
    CONSTRAINT tabu_b_check CHECK ((b <> 'É½¼¨x'::text))
);


--
-- Data for Name: tabt; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.tabt (tabid, tabc, e) FROM stdin;
0	tab	É½¼¨
1	É½¼¨	É½¼¨
2	ôû¶¶	É½¼¨
3	»³ô½	É½¼¨
\.


--
-- Data for Name: tabu; Type: TABLE DATA; Schema: tabs; Owner: -
--

COPY tabs.tabu (a, b) FROM stdin;
0	tab
1	É½¼¨
2	ôû¶¶
3	»³ô½
\.


--
-- Name: tabt tabt_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tabt
    ADD CONSTRAINT tabt_pkey PRIMARY KEY (tabid);


--
-- Name: tabu tabu_a_fkey; Type: FK CONSTRAINT; Schema: tabs; Owner: -
--

ALTER TABLE ONLY tabs.tabu
    ADD CONSTRAINT tabu_a_fkey FOREIGN KEY (a) REFERENCES public.tabt(tabid);


--
-- PostgreSQL database dump complete
--

\unrestrict I3cGVsV1CpFiMMDjK6F4HCYKzUgpDtYkqtd0ojfLRPL3b8w4lWLhJ9V30BCfOfr

