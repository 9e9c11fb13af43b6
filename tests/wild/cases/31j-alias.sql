--
-- PostgreSQL database dump
--

\restrict Ts5Qpu04Vb41iFNPezGTxa9cfzqNTGMUdKr1kT3bKi8LzPgU2OJJ3ot2hy34dmu

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
-- Name: geo; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA geo;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: geo; Type: TABLE; Schema: geo; Owner: -
--

CREATE TABLE geo.geo (
    id integer,
    geometry text
);


--
-- Name: o; Type: TABLE; Schema: geo; Owner: -
--

CREATE TABLE geo.o (
    id integer
);


--
-- Name: v; Type: VIEW; Schema: geo; Owner: -
--

CREATE VIEW geo.v AS
 SELECT geo.id,
    geo.geometry
   FROM (geo.geo
     JOIN geo.o ON ((o.id = geo.id)));


--
-- Data for Name: geo; Type: TABLE DATA; Schema: geo; Owner: -
--

COPY geo.geo (id, geometry) FROM stdin;
1	a
\.


--
-- Data for Name: o; Type: TABLE DATA; Schema: geo; Owner: -
--

COPY geo.o (id) FROM stdin;
\.


--
-- PostgreSQL database dump complete
--

\unrestrict Ts5Qpu04Vb41iFNPezGTxa9cfzqNTGMUdKr1kT3bKi8LzPgU2OJJ3ot2hy34dmu

