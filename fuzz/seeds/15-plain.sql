--
-- PostgreSQL database dump
--

\restrict NheNZkQuOYCma54ObW8RULbJu5sT8IALCgjqgwmYz70nuF8Sc62na0tOWySyHsz

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: auth; Type: SCHEMA; Schema: -; Owner: owner
--

CREATE SCHEMA auth;


ALTER SCHEMA auth OWNER TO owner;

--
-- Name: hstore; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;


--
-- Name: EXTENSION hstore; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION hstore IS 'data type for storing sets of (key, value) pairs';


--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: owner
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE plpgsql
    AS $$ begin return 1; end $$;


ALTER FUNCTION public.f() OWNER TO owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: users; Type: TABLE; Schema: auth; Owner: owner
--

CREATE TABLE auth.users (
    id integer NOT NULL
);


ALTER TABLE auth.users OWNER TO owner;

--
-- Name: t; Type: TABLE; Schema: public; Owner: owner
--

CREATE TABLE public.t (
    id integer,
    n text DEFAULT 'a;b'::text
);


ALTER TABLE public.t OWNER TO owner;

--
-- Name: v; Type: VIEW; Schema: public; Owner: owner
--

CREATE VIEW public.v AS
 SELECT t.id,
    t.n
   FROM public.t;


ALTER TABLE public.v OWNER TO owner;

--
-- Name: 16536; Type: BLOB; Schema: -; Owner: owner
--

SELECT pg_catalog.lo_create('16536');


ALTER LARGE OBJECT 16536 OWNER TO owner;

--
-- Data for Name: users; Type: TABLE DATA; Schema: auth; Owner: owner
--

COPY auth.users (id) FROM stdin;
1
2
\.


--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: owner
--

COPY public.t (id, n) FROM stdin;
1	it's\n\\x
2	\N
\.


--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open('16536', 131072);
SELECT pg_catalog.lowrite(0, '\x6c61726765');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: auth; Owner: owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: t_n_idx; Type: INDEX; Schema: public; Owner: owner
--

CREATE INDEX t_n_idx ON public.t USING btree (n);


--
-- Name: t t_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: owner
--

ALTER TABLE ONLY public.t
    ADD CONSTRAINT t_id_fkey FOREIGN KEY (id) REFERENCES auth.users(id);


--
-- Name: t p; Type: POLICY; Schema: public; Owner: owner
--

CREATE POLICY p ON public.t USING (true);


--
-- Name: t; Type: ROW SECURITY; Schema: public; Owner: owner
--

ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;

--
-- Name: TABLE t; Type: ACL; Schema: public; Owner: owner
--

GRANT SELECT ON TABLE public.t TO PUBLIC;


--
-- PostgreSQL database dump complete
--

\unrestrict NheNZkQuOYCma54ObW8RULbJu5sT8IALCgjqgwmYz70nuF8Sc62na0tOWySyHsz

