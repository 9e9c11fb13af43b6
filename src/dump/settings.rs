//! Settings that `SET` can change, by version (pg_settings of Postgres 15, 17 and 18; release notes
//! of 16).

/// Support for a setting in a major version of Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSupport {
    /// Any role can set it.
    Yes,
    /// Only a superuser can set it.
    SuperuserOnly,
    /// Added in this later major version.
    Since(u32),
    /// Unknown in all versions covered.
    No,
}

/// Looks up a setting. A name with a dot belongs to an extension or application and is always
/// accepted.
pub fn support(name: &str, major: u32) -> SettingSupport {
    let among = |names: &str| names.split_whitespace().any(|known| known.eq_ignore_ascii_case(name));
    if name.contains('.') {
        return SettingSupport::Yes;
    }
    for (since, names) in [(16, SINCE_16), (17, SINCE_17), (18, SINCE_18)] {
        if among(names) && major < since {
            return SettingSupport::Since(since);
        }
    }
    if among(SUPERUSER_ONLY) {
        return SettingSupport::SuperuserOnly;
    }
    let all = [UP_TO_15, SINCE_16, SINCE_17, SINCE_18];
    if all.iter().any(|names| among(names)) { SettingSupport::Yes } else { SettingSupport::No }
}

/// Superuser settings that functions in dumps use. They affect only limits, logging and statistics of
/// the role's own sessions, so they can be granted (Postgres 15, "GRANT … ON PARAMETER").
pub const HARMLESS: [&str; 6] = [
    "deadlock_timeout",
    "lc_messages",
    "log_min_duration_statement",
    "temp_file_limit",
    "track_functions",
    "track_io_timing",
];

const SINCE_16: &str = "
    createrole_self_grant debug_logical_replication_streaming debug_parallel_query
    enable_presorted_aggregate icu_validation_level scram_iterations vacuum_buffer_usage_limit
";

const SINCE_17: &str = "
    enable_group_by_reordering event_triggers io_combine_limit transaction_timeout
";

const SINCE_18: &str = "
    enable_distinct_reordering enable_self_join_elimination extension_control_path file_copy_method
    log_lock_failures md5_password_warnings track_cost_delay_timing
    vacuum_max_eager_freeze_failure_rate vacuum_truncate
";

const SUPERUSER_ONLY: &str = "
    allow_in_place_tablespaces allow_system_table_mods backtrace_functions commit_delay
    compute_query_id deadlock_timeout debug_discard_caches dynamic_library_path event_triggers
    extension_control_path ignore_checksum_failure jit_dump_bitcode lc_messages lo_compat_privileges
    log_duration log_error_verbosity log_executor_stats log_lock_failures log_lock_waits
    log_min_duration_sample log_min_duration_statement log_min_error_statement log_min_messages
    log_parameter_max_length log_parser_stats log_planner_stats log_replication_commands
    log_statement log_statement_sample_rate log_statement_stats log_temp_files
    log_transaction_sample_rate max_stack_depth session_preload_libraries session_replication_role
    temp_file_limit track_activities track_cost_delay_timing track_counts track_functions
    track_io_timing track_wal_io_timing update_process_title wal_compression
    wal_consistency_checking wal_init_zero wal_recycle zero_damaged_pages
";

const UP_TO_15: &str = "
    sort_mem vacuum_mem
    DateStyle IntervalStyle TimeZone allow_in_place_tablespaces allow_system_table_mods
    application_name array_nulls backend_flush_after backslash_quote backtrace_functions
    bytea_output check_function_bodies client_connection_check_interval client_encoding
    client_min_messages commit_delay commit_siblings compute_query_id constraint_exclusion
    cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction deadlock_timeout
    debug_discard_caches debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten
    default_statistics_target default_table_access_method default_tablespace
    default_text_search_config default_toast_compression default_transaction_deferrable
    default_transaction_isolation default_transaction_read_only default_with_oids
    dynamic_library_path effective_cache_size effective_io_concurrency enable_async_append
    enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin enable_incremental_sort
    enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin
    enable_nestloop enable_parallel_append enable_parallel_hash enable_partition_pruning
    enable_partitionwise_aggregate enable_partitionwise_join enable_seqscan enable_sort
    enable_tidscan escape_string_warning exit_on_error extra_float_digits force_parallel_mode
    from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size geqo_seed
    geqo_selection_bias geqo_threshold gin_fuzzy_search_limit gin_pending_list_limit
    hash_mem_multiplier idle_in_transaction_session_timeout idle_session_timeout
    ignore_checksum_failure jit jit_above_cost jit_dump_bitcode jit_expressions
    jit_inline_above_cost jit_optimize_above_cost jit_tuple_deforming join_collapse_limit
    lc_messages lc_monetary lc_numeric lc_time lo_compat_privileges local_preload_libraries
    lock_timeout log_duration log_error_verbosity log_executor_stats log_lock_waits
    log_min_duration_sample log_min_duration_statement log_min_error_statement log_min_messages
    log_parameter_max_length log_parameter_max_length_on_error log_parser_stats log_planner_stats
    log_replication_commands log_statement log_statement_sample_rate log_statement_stats
    log_temp_files log_transaction_sample_rate logical_decoding_work_mem maintenance_io_concurrency
    maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
    max_parallel_workers_per_gather max_stack_depth min_parallel_index_scan_size
    min_parallel_table_scan_size parallel_leader_participation parallel_setup_cost
    parallel_tuple_cost password_encryption plan_cache_mode quote_all_identifiers random_page_cost
    recursive_worktable_factor restrict_nonsystem_relation_kind row_security search_path seed
    seq_page_cost session_preload_libraries session_replication_role ssl_renegotiation_limit
    standard_conforming_strings statement_timeout stats_fetch_consistency synchronize_seqscans
    synchronous_commit tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval
    tcp_user_timeout temp_buffers temp_file_limit temp_tablespaces timezone_abbreviations
    trace_notify trace_sort track_activities track_counts track_functions track_io_timing
    track_wal_io_timing transaction_deferrable transaction_isolation transaction_read_only
    transform_null_equals update_process_title vacuum_cost_delay vacuum_cost_limit
    vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss vacuum_failsafe_age
    vacuum_freeze_min_age vacuum_freeze_table_age vacuum_multixact_failsafe_age
    vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age wal_compression
    wal_consistency_checking wal_init_zero wal_recycle wal_sender_timeout wal_skip_threshold
    work_mem xmlbinary xmloption zero_damaged_pages
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_support_of_a_setting_depends_on_the_version() {
        assert_eq!(support("statement_timeout", 15), SettingSupport::Yes);
        assert_eq!(support("TRANSACTION_TIMEOUT", 17), SettingSupport::Yes);
        assert_eq!(support("transaction_timeout", 16), SettingSupport::Since(17));
        assert_eq!(support("vacuum_truncate", 17), SettingSupport::Since(18));
        assert_eq!(support("session_replication_role", 17), SettingSupport::SuperuserOnly);
        for name in ["timezone", "TimeZone", "DATESTYLE", "intervalstyle"] {
            assert_eq!(support(name, 17), SettingSupport::Yes, "{name}");
        }
        assert_eq!(support("app.tenant", 17), SettingSupport::Yes);
        assert_eq!(support("yb_binary_restore", 17), SettingSupport::No);
    }
}
