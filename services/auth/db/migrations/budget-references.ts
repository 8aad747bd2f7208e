import { Migration } from "@mikro-orm/migrations";

/** A change of a budget has to find everybody who refers to it; keys are the ones there are many of. */
export class BudgetReferences extends Migration {
  override up(): void {
    for (const table of ["virtual_key", "internal_user", "team_member", "customer"]) {
      this.addSql(
        `create index ${table}_budget on auth.${table} ((doc -> 'limits' ->> 'budgetId'))
          where doc -> 'limits' ->> 'budgetId' is not null`,
      );
    }
  }

  override down(): void {
    for (const table of ["virtual_key", "internal_user", "team_member", "customer"]) {
      this.addSql(`drop index auth.${table}_budget`);
    }
  }
}
