#!/bin/sh
# Makes the dump of a database that LiteLLM has created and filled; see README.md. Needs python3, node, npm and PostgreSQL.
#
#   WORK=~/litellm-database PG=postgresql://user@127.0.0.1:5432 sh make-dump.sh DUMP.sql
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dump=$(realpath "$1")
: "${WORK:?a directory for LiteLLM and its tools}" "${PG:?the address of a PostgreSQL server, without a database}"
export LITELLM_MASTER_KEY=sk-master-of-the-fixture LITELLM_SALT_KEY=sk-salt-of-the-fixture
export STORE_MODEL_IN_DB=True DISABLE_SCHEMA_UPDATE=true LITELLM_LOCAL_MODEL_COST_MAP=True
export LITELLM_URL=http://127.0.0.1:4555 DATABASE_URL="$PG/litellm"
mkdir -p "$WORK"
cd "$WORK"

if [ ! -x venv/bin/litellm ]; then
  python3 -m venv venv
  venv/bin/pip install --quiet "litellm[proxy]${LITELLM_VERSION:+==$LITELLM_VERSION}" litellm-proxy-extras prisma==0.15.0
fi
[ -d node_modules/prisma ] || npm install --ignore-scripts prisma@5.17.0 @prisma/client@5.17.0 @prisma/adapter-pg@5.17.0 pg graphql
export PATH="$WORK/venv/bin:$PATH"
extras=$(python -c 'import litellm_proxy_extras, os; print(os.path.dirname(litellm_proxy_extras.__file__))')

printf '#!/bin/sh\nif [ "$1" = --version ]; then echo query-engine 393aa359c9ad4a4bb28630fb5613f9c281cde053; exit 0; fi\nexec node "%s/query-engine.mjs" "%s" "$@"\n' "$here" "$WORK" > query-engine
chmod +x query-engine
export PRISMA_QUERY_ENGINE_BINARY="$WORK/query-engine" PRISMA_QUERY_ENGINE_LIBRARY="$WORK/query-engine"
export PRISMA_SCHEMA_ENGINE_BINARY="$WORK/query-engine" PRISMA_CLIENT_ENGINE_TYPE=binary
cp "$extras/schema.prisma" schema.prisma
sed 's/binaryTargets.*/binaryTargets = ["native"]/' schema.prisma > generate.prisma
node node_modules/prisma/build/index.js generate --schema generate.prisma

psql -q "$PG/postgres" -c 'drop database if exists litellm' -c 'create database litellm'
for migration in "$extras"/migrations/*/; do
  psql -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$migration/migration.sql" > /dev/null 2>&1
done

with_litellm() {
  litellm --config "$1" --port 4555 --host 127.0.0.1 > litellm.log 2>&1 &
  pid=$!
  trap 'kill $pid' EXIT
  until curl -sf "$LITELLM_URL/health/liveliness" > /dev/null; do sleep 1; done
  python "$here/fill.py" "$2"
  kill $pid
  wait $pid || true
  trap - EXIT
}
printf 'general_settings:\n  store_model_in_db: true\n' > first.yaml
printf 'general_settings:\n  store_model_in_db: true\n  encryption_algorithm: aes-256-gcm\n' > second.yaml
with_litellm first.yaml first
with_litellm second.yaml second

pg_dump --no-owner --no-privileges --no-comments --column-inserts --schema=public "$DATABASE_URL" |
  grep -v -e '^--' -e '^SET ' -e '^SELECT pg_catalog' -e '^CREATE SCHEMA' -e '^\\' -e '^$' > "$dump"
