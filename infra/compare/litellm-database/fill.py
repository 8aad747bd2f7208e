"""Fills LiteLLM's database over LiteLLM's own admin API, with everything that `npm run import-litellm` has to understand.

    python fill.py first    LiteLLM runs with its default cipher (secretbox)
    python fill.py second   the same LiteLLM was started again with `encryption_algorithm: aes-256-gcm`

Where the API asks for an enterprise licence (organizations, projects), the rows are written with the Prisma client that
LiteLLM generates from its schema, so that defaults and types are LiteLLM's own.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request

BASE = os.environ.get("LITELLM_URL", "http://127.0.0.1:4555")
MASTER = os.environ["LITELLM_MASTER_KEY"]


def call(method, path, body=None, key=MASTER, expect=200):
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(BASE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        if error.code != expect:
            print(f"{method} {path} {body}: {error.code} {text[:600]}", file=sys.stderr)
        return None


def post(path, body, key=MASTER):
    return call("POST", path, body, key)


def chat(key, model, **more):
    body = {"model": model, "messages": [{"role": "user", "content": "Say something, please."}], "max_tokens": 20, **more}
    return post("/v1/chat/completions", body, key)


def budgets():
    post("/budget/new", {"budget_id": "gold", "max_budget": 100, "soft_budget": 80, "budget_duration": "30d", "tpm_limit": 100000, "rpm_limit": 1000})
    post("/budget/new", {"budget_id": "small", "max_budget": 0.5, "budget_duration": "1d"})


def users():
    post("/user/new", {"user_id": "ada", "user_email": "Ada@example.com", "user_alias": "Ada", "user_role": "proxy_admin", "auto_create_key": False})
    post("/user/new", {"user_id": "bob", "user_email": "bob@example.com", "user_role": "internal_user", "max_budget": 25, "budget_duration": "7d", "models": ["priced", "echo"], "tpm_limit": 5000, "rpm_limit": 50, "max_parallel_requests": 4, "metadata": {"cost_center": "R&D"}, "auto_create_key": False})
    post("/user/new", {"user_id": "cyd", "user_email": "cyd@example.com", "user_role": "internal_user_viewer", "sso_user_id": "sso-cyd", "auto_create_key": False})
    post("/user/new", {"user_id": "dee", "user_role": "proxy_admin_viewer", "max_budget": 0, "auto_create_key": False})


def teams():
    post("/team/new", {"team_id": "red", "team_alias": "Red team", "models": ["priced", "echo", "openai/*"], "max_budget": 40, "soft_budget": 30, "budget_duration": "30d", "tpm_limit": 20000, "rpm_limit": 200, "max_parallel_requests": 20, "model_aliases": {"cheap": "priced"}, "metadata": {"owner": "ada"}, "members_with_roles": [{"role": "admin", "user_id": "ada"}, {"role": "user", "user_id": "bob"}], "team_member_permissions": ["/key/generate", "/key/info"]})
    post("/team/new", {"team_id": "blue", "team_alias": "Blue team", "members_with_roles": [{"role": "user", "user_id": "cyd"}], "team_member_budget": 3, "team_member_rpm_limit": 10, "model_rpm_limit": {"priced": 5}})
    post("/team/new", {"team_id": "stopped", "team_alias": "Stopped", "blocked": True, "models": ["all-proxy-models"]})
    post("/team/member_add", {"team_id": "red", "member": [{"role": "user", "user_id": "cyd"}], "max_budget_in_team": 2.5})
    post("/team/member_add", {"team_id": "blue", "member": [{"role": "user", "user_email": "new@example.com"}]})
    post("/team/block", {"team_id": "stopped"})


def models():
    priced = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002, "mock_response": "mocked"}
    post("/model/new", {"model_name": "priced", "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "sk-upstream-priced", **priced}, "model_info": {"id": "model-priced", "access_groups": ["cheap-models"]}})
    post("/credentials", {"credential_name": "shared-openai", "credential_values": {"api_key": "sk-upstream-shared", "api_base": "http://127.0.0.1:9/v1"}, "credential_info": {"custom_llm_provider": "openai", "description": "of everybody"}})
    post("/model/new", {"model_name": "echo", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-upstream-echo", "api_base": "http://127.0.0.1:9/v1", "rpm": 60, "timeout": 30}, "model_info": {"id": "model-echo"}})
    post("/model/new", {"model_name": "by-credential", "litellm_params": {"model": "openai/gpt-4.1", "litellm_credential_name": "shared-openai"}, "model_info": {"id": "model-by-credential"}})
    post("/model/new", {"model_name": "openai/*", "litellm_params": {"model": "openai/*", "api_key": "os.environ/OPENAI_API_KEY"}, "model_info": {"id": "model-wildcard"}})
    post("/model/new", {"model_name": "no-such-provider", "litellm_params": {"model": "nowhere/thing", "custom_llm_provider": "custom_openai", "api_key": "sk-upstream-nowhere", "api_base": "http://127.0.0.1:9"}, "model_info": {"id": "model-nowhere"}})


def keys():
    def key(name, **fields):
        post("/key/generate", {"key": f"sk-fixture-key-{name}", **fields})

    key("plain", key_alias="plain")
    key("limited", key_alias="limited", models=["priced"], max_budget=5, budget_duration="30d", tpm_limit=10000, rpm_limit=100, max_parallel_requests=3, metadata={"purpose": "tests", "nested": {"a": [1, 2.5]}})
    key("nearly-spent", key_alias="nearly-spent", models=["priced", "echo"], max_budget=0.0521)
    key("of-bob", key_alias="of-bob", user_id="bob", aliases={"fast": "priced"}, duration="3650d")
    key("of-red", key_alias="of-red", team_id="red", user_id="bob", models=["all-team-models"])
    key("of-blue", team_id="blue", user_id="cyd")
    key("expired", key_alias="expired", duration="1s")
    key("blocked", key_alias="blocked")
    key("gold", key_alias="gold", budget_id="gold")
    key("soft", key_alias="soft", soft_budget=10, max_budget=12)
    key("models-limited", key_alias="models-limited", model_rpm_limit={"priced": 7}, model_tpm_limit={"priced": 700})
    key("llm-only", key_alias="llm-only", key_type="llm_api")
    key("windows", key_alias="windows", budget_limits=[{"budget_duration": "1d", "max_budget": 4}, {"budget_duration": "30d", "max_budget": 9}])
    key("group", key_alias="group", models=["cheap-models"])
    key("permitted", key_alias="permitted", permissions={"allow_pii_controls": True}, allowed_routes=["/v1/chat/completions", "/v1/models"])
    key("fallbacks", key_alias="fallbacks", router_settings={"num_retries": 2, "fallbacks": [{"echo": ["priced"]}]})
    key("callbacks", key_alias="callbacks", metadata={"logging": [{"callback_name": "langfuse", "callback_type": "success", "callback_vars": {"langfuse_public_key": "pk-fixture"}}]})
    key("cache", key_alias="cache", allowed_cache_controls=["no-cache"])
    post("/key/service-account/generate", {"key": "sk-fixture-key-service", "team_id": "red", "key_alias": "service"})
    post("/key/block", {"key": "sk-fixture-key-blocked"})


def others():
    post("/customer/new", {"user_id": "customer-1", "alias": "First customer", "budget_id": "small"})
    post("/customer/new", {"user_id": "customer-2", "max_budget": 7, "budget_duration": "7d", "default_model": "priced"})
    post("/customer/new", {"user_id": "customer-3", "blocked": True, "allowed_model_region": "eu"})
    post("/tag/new", {"name": "batch-jobs", "description": "the nightly ones", "models": ["model-priced"], "max_budget": 50, "budget_duration": "30d"})
    post("/tag/new", {"name": "interactive"})
    post("/v1/access_group", {"access_group_name": "analysts", "description": "who analyses", "access_model_names": ["priced", "echo"], "assigned_team_ids": ["blue"]})
    post("/config/update", {"router_settings": {"num_retries": 3, "routing_strategy": "least-busy"}, "litellm_settings": {"drop_params": True}, "environment_variables": {"FIXTURE_SECRET": "value-of-the-environment"}})
    post("/guardrails", {"guardrail": {"guardrail_name": "fixture", "litellm_params": {"guardrail": "presidio", "mode": "pre_call"}}})


def spend():
    """Calls with a mocked answer cost what the model's own price says; LiteLLM writes that down itself."""
    for name, count in (("plain", 2), ("limited", 3), ("nearly-spent", 1), ("of-bob", 2), ("of-red", 3), ("gold", 1), ("windows", 2)):
        for _ in range(count):
            chat(f"sk-fixture-key-{name}", "priced")
    chat("sk-fixture-key-of-blue", "priced")
    chat("sk-fixture-key-plain", "priced", user="customer-1")
    chat("sk-fixture-key-plain", "priced", user="customer-2", metadata={"tags": ["batch-jobs"]})
    chat("sk-fixture-key-plain", "priced", user="a-stranger")


async def enterprise():
    from prisma import Json, Prisma

    db = Prisma()
    await db.connect()
    by = {"created_by": "ada", "updated_by": "ada"}
    per_model = {"priced": {"budget_limit": 5, "time_period": "7d"}}
    await db.litellm_budgettable.create({"budget_id": "per-model", "max_budget": 20.0, "model_max_budget": Json(per_model), **by})
    await db.litellm_budgettable.create({"budget_id": "budget-of-acme", "max_budget": 500.0, "rpm_limit": 500, "budget_duration": "30d", **by})
    await db.litellm_organizationtable.create({"organization_id": "acme", "organization_alias": "Acme", "budget_id": "budget-of-acme", "models": ["priced", "echo"], "spend": 12.5, "metadata": Json({"country": "AT"}), **by})
    await db.litellm_organizationmembership.create({"user_id": "ada", "organization_id": "acme", "user_role": "org_admin", "budget_id": None})
    await db.litellm_teamtable.update(where={"team_id": "red"}, data={"organization_id": "acme"})
    await db.litellm_budgettable.create({"budget_id": "budget-of-project", "max_budget": 60.0, **by})
    await db.litellm_projecttable.create({"project_id": "apollo", "project_alias": "Apollo", "description": "to the moon", "team_id": "red", "budget_id": "budget-of-project", "models": ["priced"], "metadata": Json({"phase": 2}), "model_rpm_limit": Json({"priced": 9}), "spend": 1.25, **by})
    token = hashlib.sha256(b"sk-fixture-key-of-red").hexdigest()
    await db.litellm_verificationtoken.update(where={"token": token}, data={"project_id": "apollo"})
    old = hashlib.sha256(b"sk-fixture-key-plain-before").hexdigest()
    from datetime import datetime, timedelta, timezone

    await db.litellm_deprecatedverificationtoken.create({"token": old, "active_token_id": hashlib.sha256(b"sk-fixture-key-plain").hexdigest(), "revoke_at": datetime.now(timezone.utc) + timedelta(days=3650)})
    await db.disconnect()


def first():
    budgets()
    users()
    models()
    teams()
    keys()
    others()
    asyncio.run(enterprise())
    time.sleep(12)
    spend()
    time.sleep(75)


def second():
    post("/credentials", {"credential_name": "sealed-with-gcm", "credential_values": {"api_key": "sk-upstream-gcm"}, "credential_info": {}})
    post("/model/new", {"model_name": "gcm", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-upstream-gcm-model", "api_base": "http://127.0.0.1:9/v1"}, "model_info": {"id": "model-gcm"}})


if __name__ == "__main__":
    {"first": first, "second": second}[sys.argv[1]]()
