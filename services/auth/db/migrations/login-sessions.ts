import { Migration } from "@mikro-orm/migrations";

/** Sessions of people who have logged in with a browser. */
export class LoginSessions extends Migration {
  override up(): void {
    this.addSql(`create table auth.login_session (
      session_hash text primary key,
      user_id text not null,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      address text not null
    )`);
    this.addSql("create index login_session_user on auth.login_session (user_id, created_at desc)");
    this.addSql("create index login_session_end on auth.login_session (expires_at)");
  }

  override down(): void {
    this.addSql("drop table auth.login_session");
  }
}
