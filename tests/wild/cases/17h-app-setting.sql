--
-- PostgreSQL database dump
--

\restrict MSuanhHtCsElf21K4CrkOGcSCZUPDiSPzvJf8I3pbQNMhqXE2eqFSSV9wytaBQO

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

--
-- Name: s(text); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.s(q text) RETURNS text
    LANGUAGE sql STABLE
    SET "app.tenant" TO 'x'
    AS $$select current_setting('app.tenant')$$;


ALTER FUNCTION public.s(q text) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: d; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.d (
    id integer,
    e text
);


ALTER TABLE public.d OWNER TO postgres;

--
-- Data for Name: d; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.d (id, e) FROM stdin;
1	a
\.


--
-- PostgreSQL database dump complete
--

\unrestrict MSuanhHtCsElf21K4CrkOGcSCZUPDiSPzvJf8I3pbQNMhqXE2eqFSSV9wytaBQO

