--
-- PostgreSQL database dump
--

\restrict PTuFqJ7ia39a4K9RW596DnlVWxkSlyMctdRE4w0vraVJK3g4OO5YhSL1Tyn6fpb

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

CREATE OR REPLACE VIEW app.vg AS
SELECT
    NULL::integer AS id,
    NULL::text AS n,
    NULL::bigint AS count;
ALTER TABLE IF EXISTS ONLY app.t DROP CONSTRAINT IF EXISTS t_pkey;
DROP VIEW IF EXISTS app.vg;
DROP TABLE IF EXISTS app.t;
DROP SCHEMA IF EXISTS app;
--
-- Name: app; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA app;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: t; Type: TABLE; Schema: app; Owner: -
--

CREATE TABLE app.t (
    id integer NOT NULL,
    n text
);


--
-- Name: vg; Type: VIEW; Schema: app; Owner: -
--

CREATE VIEW app.vg AS
SELECT
    NULL::integer AS id,
    NULL::text AS n,
    NULL::bigint AS count;


--
-- Data for Name: t; Type: TABLE DATA; Schema: app; Owner: -
--

COPY app.t (id, n) FROM stdin;
1	x
\.


--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: app; Owner: -
--

ALTER TABLE ONLY app.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (id);


--
-- Name: vg _RETURN; Type: RULE; Schema: app; Owner: -
--

CREATE OR REPLACE VIEW app.vg AS
 SELECT id,
    n,
    count(*) AS count
   FROM app.t
  GROUP BY id;


--
-- PostgreSQL database dump complete
--

\unrestrict PTuFqJ7ia39a4K9RW596DnlVWxkSlyMctdRE4w0vraVJK3g4OO5YhSL1Tyn6fpb

