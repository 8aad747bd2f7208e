/**
 * LiteLLM's configuration keys that Sluice knows and has not built yet. One of them in a file is reported at start by
 * name, so that nobody relies on what does nothing. The keys that are built are those of config-schema.ts.
 */
export const unbuiltKeys = {
  document: words(`guardrails policies policy_attachments prompts mcp_servers mcp_tools agent_list
    vector_store_registry search_tools assistant_settings finetune_settings files_settings default_vertex_config
    callback_settings include`),
  litellmParams: words(`api_version itpm otpm max_parallel_requests tags tag_regex max_budget budget_duration
    max_file_size_mb configurable_clientside_auth_params additional_drop_params
    use_in_pass_through use_litellm_proxy use_chat_completions_api merge_reasoning_content_in_choices
    cache_control_injection_points region_name watsonx_region_name aws_region_name vertex_project vertex_location
    vertex_credentials aws_access_key_id aws_secret_access_key aws_session_token aws_session_name aws_profile_name
    aws_role_name aws_web_identity_token aws_sts_endpoint aws_external_id aws_bedrock_runtime_endpoint s3_bucket_name
    s3_output_bucket_name aws_batch_role_arn s3_encryption_key_id gcs_bucket_name azure_ad_token tenant_id client_id
    client_secret azure_username azure_password azure_scope vector_store_id milvus_text_field
    default_api_key_tpm_limit default_api_key_rpm_limit provider_affinity_header auto_router_config_path
    auto_router_config auto_router_default_model auto_router_embedding_model prompt_id prompt_label
    ignore_prompt_manager_model guardrails silent_model retry_policy fallbacks metadata`),
  modelInfo: words("supported_environments access_windows enable_tag_filtering"),
  routerSettings: words(`routing_strategy_args routing_groups redis_host redis_port redis_password redis_db redis_url
    redis_ssl cache_kwargs cache_responses caching_groups client_ttl retry_policy model_group_retry_policy
    allowed_fails_policy enable_pre_call_checks optional_pre_call_checks deployment_affinity_ttl_seconds
    model_group_affinity_config enable_tag_filtering tag_filtering_match_any provider_budget_config
    default_max_parallel_requests default_priority polling_interval default_litellm_params
    enable_health_check_routing health_check_staleness_threshold health_check_ignore_transient_errors
    ignore_invalid_deployments search_tools guardrail_list assistants_config alerting_config router_general_settings
    debug_level set_verbose deployment_latency_map`),
  litellmSettings: words(`callbacks success_callback failure_callback service_callbacks cache cache_params
    enable_redis_auth_cache enable_caching_on_provider_specific_optional_params modify_params add_function_to_prompt
    set_verbose json_logs turn_off_message_logging redact_messages_in_exceptions redact_user_api_key_info
    log_raw_request_response disable_streaming_logging global_disable_no_log_param allow_dynamic_callback_disabling
    max_user_budget max_internal_user_budget internal_user_budget_duration
    default_max_internal_user_budget max_ui_session_budget
    default_soft_budget tag_budget_config default_team_params default_team_settings
    model_group_settings require_auth_for_metrics_endpoint
    prometheus_metrics_config prometheus_initialize_budget_metrics custom_prometheus_metadata_labels
    custom_prometheus_tags disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only
    enable_end_user_cost_tracking_prometheus_only cost_discount_config cost_margin_config
    include_cost_in_streaming_usage extra_spend_tag_headers disable_add_user_agent_to_request_tags
    priority_reservation priority_reservation_settings custom_provider_map responses post_call_rules pre_call_rules
    ssl_certificate ssl_security_level ssl_ecdh_curve force_ipv4 disable_aiohttp_transport
    aiohttp_trust_env guardrails llamaguard_model_name llm_guard_mode banned_keywords_list
    blocked_user_list google_moderation_confidence_threshold openai_moderations_model_name
    presidio_ad_hoc_recognizers output_parse_pii skip_system_message_in_guardrail enable_json_schema_validation
    enable_preview_features check_provider_endpoint public_model_groups public_model_groups_links public_mcp_servers
    public_agent_groups langfuse_default_tags mcp_aliases mcp_semantic_tool_filter
    forward_traceparent_to_llm_provider return_response_headers route_all_chat_openai_to_responses
    use_chat_completions_url_for_anthropic_messages s3_callback_params datadog_params aws_sqs_callback_params
    generic_logger_headers callback_settings cold_storage_custom_logger global_prompt_directory
    global_bitbucket_config global_gitlab_config disable_hf_tokenizer_download disable_token_counter
    disable_stop_sequence_limit telemetry`),
} as const;

/** Keys of `litellm_settings` that auth reads, and `store_audit_logs`: changes are audited always. */
export const keysOfAuth: readonly string[] = [
  "default_internal_user_params",
  "default_key_generate_params",
  "upperbound_key_generate_params",
  "key_generation_settings",
  "enable_key_alias_format_validation",
  "max_budget",
  "budget_duration",
  "max_end_user_budget",
  "max_end_user_budget_id",
  "store_audit_logs",
];

/** Other price keys of LiteLLM: what they price is not metered yet. Anything of these shapes is one. */
export function isUnbuiltPriceKey(key: string): boolean {
  return /^(input|output)_cost_per_|^cache_(read|creation)_input_|_cost_per_(query|token)$|^tiered_pricing$/.test(key);
}

/**
 * Sorts the keys of a section that nothing reads into warnings: known to LiteLLM and not built, or known to nobody.
 * `where` is the section's path as people write it; empty for the top of the document.
 */
export function keyWarnings(
  where: string,
  keys: readonly string[],
  built: ReadonlySet<string>,
  unbuilt: ReadonlySet<string>,
): string[] {
  const prefix = where === "" ? "" : `${where}.`;
  return keys
    .filter((key) => !built.has(key))
    .map((key) =>
      unbuilt.has(key) ? `${prefix}${key} is not built yet and has no effect` : `${prefix}${key} is unknown, ignored`,
    );
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/));
}
