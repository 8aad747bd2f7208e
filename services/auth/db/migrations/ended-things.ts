import { Migration } from "@mikro-orm/migrations";

/** Which scopes have ended, until accounting has forgotten them, and teams as they were when they were deleted. */
export class EndedThings extends Migration {
  override up(): void {
    this.addSql(`create table auth.ended_scope (
      scope text not null primary key,
      ended_at timestamptz not null
    )`);
    this.addSql("create index ended_scope_at on auth.ended_scope (ended_at)");
    this.addSql(`create table auth.deleted_team (
      id bigint generated always as identity primary key,
      team_id text not null,
      team_alias text null,
      organization_id text null,
      admin_ids text[] not null,
      member_ids text[] not null,
      doc jsonb not null,
      created_at timestamptz not null,
      created_by text not null,
      updated_at timestamptz not null,
      updated_by text not null,
      version integer not null,
      deleted_at timestamptz not null,
      deleted_by text not null
    )`);
    this.addSql("create index deleted_team_at on auth.deleted_team (deleted_at desc, id)");
  }

  override down(): void {
    this.addSql("drop table auth.deleted_team");
    this.addSql("drop table auth.ended_scope");
  }
}
