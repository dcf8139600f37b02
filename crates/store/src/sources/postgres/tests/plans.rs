//! No statement reads a whole table, and none sorts.

use super::*;
use crate::sources::postgres::statement::{Statement, Statements};
use crate::tables;

/// Rows enough that the planner would rather use an index; of several clients, subjects and expiries.
const FILL: &str = "INSERT INTO access_token SELECT decode(lpad(to_hex(n), 40, '0'), 'hex'), 1, n, '{}', \
     'client ' || n % 100, 'subject ' || n % 1000, 'grant ' || n FROM generate_series(1, 20000) n; \
     ANALYZE access_token";

fn fill_plain(table: &str) -> String {
    format!(
        "INSERT INTO {table} SELECT decode(lpad(to_hex(n), 40, '0'), 'hex'), 1, n, '{{}}' FROM generate_series(1, 20000) n; \
         ANALYZE {table}"
    )
}

/// The plan that the server uses for a prepared statement whatever the values, which is the worst that it may come to.
async fn plan(client: &tokio_postgres::Client, statement: &Statement) -> String {
    let types: Vec<&str> = statement.types.iter().map(|kind| kind.name()).collect();
    let values: Vec<&str> =
        statement.types.iter().map(|kind| if kind.name() == "bytea" { "'\\x00'" } else { "'1'" }).collect();
    client
        .batch_execute(&format!("DEALLOCATE ALL; PREPARE it ({}) AS {}", types.join(", "), statement.sql))
        .await
        .unwrap();
    let lines = client.simple_query(&format!("EXPLAIN EXECUTE it ({})", values.join(", "))).await.unwrap();
    let lines = lines.iter().filter_map(|line| match line {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether it reads rows that it does not want: all of them, or those of an index that fits only half. The version is compared
/// on the one row that the key gave.
fn scans(plan: &str) -> bool {
    let filters = plan.lines().any(|line| line.contains("Filter:") && !line.contains("(version = "));
    filters || plan.contains("Seq Scan") || plan.contains("Sort")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_a_whole_table() {
    let scratch = Scratch::new().await;
    scratch.opened().await;
    scratch.execute(FILL).await;
    for table in tables::ALL.iter().filter(|table| table.indexes.is_empty()) {
        scratch.execute(&fill_plain(table.name)).await;
    }
    let client = connect(&scratch.url).await;
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for table in tables::ALL {
        for (name, statement) in Statements::new(table).all() {
            let plan = plan(&client, statement).await;
            // An insert reads nothing.
            assert!(name == "insert" || plan.contains("Index"), "{name} {}: {plan}", table.name);
            assert!(!scans(&plan), "{name} of {}: {}\n{plan}", table.name, statement.sql);
        }
    }
    // That the check can fail: without its index, a find does read others' rows.
    client.batch_execute("DROP INDEX access_token_subject").await.unwrap();
    let plan = plan(&client, &Statements::new(&tables::ACCESS_TOKEN).find[1]).await;
    assert!(scans(&plan), "{plan}");
}
