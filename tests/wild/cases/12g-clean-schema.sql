--
-- PostgreSQL database dump
--

\restrict 6jvWX2Qek8eCq62dwleic5Ag3RaU75K2mnp0mrqrUcWY4tbsCXhJuOTS9Yf9dx4

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

ALTER TABLE ONLY app.t DROP CONSTRAINT t_pkey;
DROP TABLE app.t;
DROP SCHEMA app;
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
-- PostgreSQL database dump complete
--

\unrestrict 6jvWX2Qek8eCq62dwleic5Ag3RaU75K2mnp0mrqrUcWY4tbsCXhJuOTS9Yf9dx4

