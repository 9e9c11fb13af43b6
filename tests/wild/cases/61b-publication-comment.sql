--
-- PostgreSQL database dump
--

\restrict xwBEAetvqnsKyNRo7gdxMxtPykWWENY3EnsvKAIRMCJPDT9ejFRDAt3CExrBrLj

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
-- Name: t; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.t (
    a integer
);


ALTER TABLE public.t OWNER TO postgres;

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.t (a) FROM stdin;
1
\.


--
-- Name: p; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION p OWNER TO postgres;

--
-- Name: PUBLICATION p; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON PUBLICATION p IS 'x';


--
-- Name: p2; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION p2 WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION p2 OWNER TO postgres;

--
-- Name: PUBLICATION p2; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON PUBLICATION p2 IS 'y';


--
-- Name: p3; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION p3 WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION p3 OWNER TO postgres;

--
-- Name: PUBLICATION p3; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON PUBLICATION p3 IS 'z';


--
-- Name: p2 t; Type: PUBLICATION TABLE; Schema: public; Owner: postgres
--

ALTER PUBLICATION p2 ADD TABLE ONLY public.t WHERE ((a > 0));


--
-- Name: p3 public; Type: PUBLICATION TABLES IN SCHEMA; Schema: public; Owner: postgres
--

ALTER PUBLICATION p3 ADD TABLES IN SCHEMA public;


--
-- PostgreSQL database dump complete
--

\unrestrict xwBEAetvqnsKyNRo7gdxMxtPykWWENY3EnsvKAIRMCJPDT9ejFRDAt3CExrBrLj

