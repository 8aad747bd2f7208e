import { Migration } from "@mikro-orm/migrations";

/**
 * The keyring and what became of master keys. The key that the router kept for itself is taken over; its column stays, for
 * routers of the version before that run until they are replaced.
 */
export class Trust extends Migration {
  override up(): void {
    this.addSql(`create table auth.keyring (
      wrapping_id text not null constraint keyring_pkey primary key,
      kind text not null,
      wrapped bytea not null,
      created_at timestamptz not null,
      expires_at timestamptz null
    )`);
    this.addSql(`create table auth.master_key_rotation (
      old_hash text not null constraint master_key_rotation_pkey primary key,
      new_hash text not null constraint master_key_rotation_new unique,
      rotated_at timestamptz not null,
      rotated_by text not null,
      old_until timestamptz not null
    )`);
    this.addSql(`do $$ begin
      if to_regclass('router.state') is not null then
        insert into auth.keyring (wrapping_id, kind, wrapped, created_at)
          select '', 'unknown', wrapped_key, now() from router.state where wrapped_key is not null limit 1;
      end if;
    end $$`);
  }

  override down(): void {
    this.addSql("drop table auth.master_key_rotation");
    this.addSql("drop table auth.keyring");
  }
}
