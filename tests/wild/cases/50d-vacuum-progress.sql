--
-- PostgreSQL database dump
--

\restrict ijw393P2QQpSOPmXUWnCVQbiJb7v9YURmRB5OdID0ZaGYy5S0tELargbuVd9ozG

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
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
-- Name: t; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.t (
    a integer
);


ALTER TABLE public.t OWNER TO postgres;

--
-- Name: v; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.v AS
 SELECT pg_stat_progress_vacuum.pid,
    pg_stat_progress_vacuum.max_dead_tuples
   FROM pg_stat_progress_vacuum;


ALTER VIEW public.v OWNER TO postgres;

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.t (a) FROM stdin;
1
\.


--
-- PostgreSQL database dump complete
--

\unrestrict ijw393P2QQpSOPmXUWnCVQbiJb7v9YURmRB5OdID0ZaGYy5S0tELargbuVd9ozG

