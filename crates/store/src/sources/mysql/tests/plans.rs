//! No statement reads a whole table, and none sorts.

use mysql_async::{Params, Row as Line, Value};

use super::*;
use crate::sources::mysql::statement::{Statement, Statements};
use crate::tables;

/// Rows enough that the planner would rather use an index; of several clients, subjects and expiries.
fn fill(table: &crate::source::Table) -> String {
    let others = ["CONCAT('client ', seq % 100)", "CONCAT('subject ', seq % 1000)", "CONCAT('grant ', seq)"];
    let others: String = others[..table.indexes.len()].iter().map(|other| format!(", {other}")).collect();
    format!(
        "INSERT INTO {0} SELECT UNHEX(LPAD(HEX(seq), 40, '0')), 1, seq, '{{}}'{others} FROM seq_1_to_5000; ANALYZE TABLE {0}",
        table.name
    )
}

/// Values of a statement as the verb gives them: a row that is there, a limit as of a page.
fn values(name: &str, table: &crate::source::Table) -> Vec<Value> {
    let key = Value::Bytes([vec![0; 18], vec![3, 232]].concat());
    let row = |before: usize| {
        let mut values = vec![Value::Int(1), Value::Bytes(b"{}".to_vec())];
        values.extend(vec![Value::Bytes(b"x".to_vec()); table.indexes.len()]);
        values.splice(0..0, vec![Value::Bytes(b"new".to_vec()), Value::Int(1)].into_iter().take(before));
        values
    };
    match name {
        "get" | "take" => vec![key],
        "insert" => row(2),
        "replace" => [row(0), vec![key, Value::Int(1)]].concat(),
        "list" => vec![key, Value::Int(100)],
        "sweep" => vec![Value::Int(50), Value::Int(20)],
        "find" => vec![Value::from("client 7"), Value::Int(8), Value::Bytes(Vec::new()), Value::Int(100)],
        _ => vec![Value::from("client 7"), Value::Int(8), Value::Int(100)],
    }
}

/// The plan: how each table is reached (`type`), by which index, and what is done beside.
async fn plans(conn: &mut Conn, name: &str, statement: &Statement, table: &crate::source::Table) -> Vec<String> {
    let mut plans = Vec::new();
    for sql in [true, false].map(|mariadb| statement.texts(mariadb)).concat() {
        let lines: Vec<Line> =
            conn.exec(format!("EXPLAIN {sql}"), Params::Positional(values(name, table))).await.unwrap();
        for line in lines {
            let told = |column: &str| line.get::<Option<String>, _>(column).flatten().unwrap_or_default();
            plans.push(format!("{}; {}; {} of {}", told("type"), told("key"), told("Extra"), sql));
        }
    }
    plans
}

/// Whether it reads rows that it does not want, or sorts.
fn scans(plan: &str) -> bool {
    let how = plan.split(';').next().unwrap_or("");
    !matches!(how, "const" | "ref" | "range" | "eq_ref" | "") || plan.contains("filesort") || plan.contains("temporary")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_a_whole_table() {
    let scratch = Scratch::new().await;
    scratch.opened().await;
    for table in tables::ALL {
        scratch.execute(&fill(table)).await;
    }
    let mut conn = connect(&scratch.url).await;
    conn.query_drop("SET NAMES utf8mb4").await.unwrap();
    for table in tables::ALL {
        for (name, statement) in Statements::new(table).all() {
            let plans = plans(&mut conn, name, statement, table).await;
            assert!(!plans.is_empty());
            for plan in plans {
                // An insert reads nothing, and says ALL for it.
                assert!(name == "insert" || !plan.starts_with(';'), "{name} of {}: no plan: {plan}", table.name);
                assert!(name == "insert" || !scans(&plan), "{name} of {}: {plan}", table.name);
            }
        }
    }
    // That the check can fail: without its index, a find does read others' rows.
    conn.query_drop("DROP INDEX access_token_client_id ON access_token").await.unwrap();
    let table = &tables::ACCESS_TOKEN;
    let find = &Statements::new(table).find[0];
    let plan = plans(&mut conn, "find", find, table).await.remove(0);
    assert!(!plan.contains("access_token_client_id"), "{plan}");
    conn.query_drop("ALTER TABLE access_token DROP INDEX access_token_expires_at").await.unwrap();
    let plan = plans(&mut conn, "sweep", &Statements::new(table).sweep, table).await.remove(0);
    assert!(scans(&plan), "{plan}");
}
