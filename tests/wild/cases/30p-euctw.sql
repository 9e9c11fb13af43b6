--
-- PostgreSQL database dump
--

\restrict 4MnaC79r3pwN7llJqwxxX3ZjKWlDrPCIM7gXGidEpohh5bomRHr2YqKSvRxvdvA

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'EUC_TW';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ê×Æ¡s; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA "ê×Æ¡s";


--
-- Name: ê×Æ¡e; Type: TYPE; Schema: ê×Æ¡s; Owner: -
--

CREATE TYPE "ê×Æ¡s"."ê×Æ¡e" AS ENUM (
    'ÄãáÞ',
    'b'
);


--
-- Name: f2(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f2(x text DEFAULT 'ÄãáÞ'::text) RETURNS text
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT (x || 'ÄãáÞ'::text);
END;


--
-- Name: ê×Æ¡f(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public."ê×Æ¡f"() RETURNS text
    LANGUAGE sql
    AS $$ select 'ÄãáÞ'::text /* ê×Æ¡ */ $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: ê×Æ¡t; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public."ê×Æ¡t" (
    "ê×Æ¡id" integer NOT NULL,
    "ê×Æ¡c" text,
    e "ê×Æ¡s"."ê×Æ¡e"
);


--
-- Name: TABLE "ê×Æ¡t"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public."ê×Æ¡t" IS 'ÄãáÞ it''s';


--
-- Name: ê×Æ¡v; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public."ê×Æ¡v" AS
 SELECT "ê×Æ¡t"."ê×Æ¡id" AS "ê×Æ¡z",
    'ÄãáÞ'::text AS q
   FROM public."ê×Æ¡t";


--
-- Name: ê×Æ¡u; Type: TABLE; Schema: ê×Æ¡s; Owner: -
--

CREATE TABLE "ê×Æ¡s"."ê×Æ¡u" (
    a integer,
    b text,
    CONSTRAINT "ê×Æ¡u_b_check" CHECK ((b <> 'ÄãáÞx'::text))
);


--
-- Data for Name: ê×Æ¡t; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public."ê×Æ¡t" ("ê×Æ¡id", "ê×Æ¡c", e) FROM stdin;
0	ê×Æ¡	ÄãáÞ
1	ÄãáÞ	ÄãáÞ
2	àÁ	ÄãáÞ
\.


--
-- Data for Name: ê×Æ¡u; Type: TABLE DATA; Schema: ê×Æ¡s; Owner: -
--

COPY "ê×Æ¡s"."ê×Æ¡u" (a, b) FROM stdin;
0	ê×Æ¡
1	ÄãáÞ
2	àÁ
\.


--
-- Name: ê×Æ¡t ê×Æ¡t_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public."ê×Æ¡t"
    ADD CONSTRAINT "ê×Æ¡t_pkey" PRIMARY KEY ("ê×Æ¡id");


--
-- Name: ê×Æ¡u ê×Æ¡u_a_fkey; Type: FK CONSTRAINT; Schema: ê×Æ¡s; Owner: -
--

ALTER TABLE ONLY "ê×Æ¡s"."ê×Æ¡u"
    ADD CONSTRAINT "ê×Æ¡u_a_fkey" FOREIGN KEY (a) REFERENCES public."ê×Æ¡t"("ê×Æ¡id");


--
-- Name: ê×Æ¡t ê×Æ¡p; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY "ê×Æ¡p" ON public."ê×Æ¡t" TO "ê×Æ¡r" USING (("ê×Æ¡c" <> 'ÄãáÞ'::text));


--
-- Name: ê×Æ¡t; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public."ê×Æ¡t" ENABLE ROW LEVEL SECURITY;

--
-- PostgreSQL database dump complete
--

\unrestrict 4MnaC79r3pwN7llJqwxxX3ZjKWlDrPCIM7gXGidEpohh5bomRHr2YqKSvRxvdvA

