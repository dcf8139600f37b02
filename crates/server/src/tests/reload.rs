//! Files change under a running node.

use tokio::io::AsyncWriteExt;

use super::{MEMORY, TestNode, eventually, folder, status};
use crate::admin::api::ReloadOutcome;
use crate::options::StartError;

fn say(text: &str) -> String {
    format!("route = \"GET /say\"\n[[filter]]\nuse = \"say\"\ntext = \"{text}\"\n")
}

async fn says(node: &TestNode, text: &str) -> bool {
    node.get("/say").await.ends_with(&format!("\r\n\r\n{text}"))
}

#[tokio::test]
async fn a_saved_file_is_taken_up_by_itself() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    assert!(says(&node, "one").await);
    node.write("policies/say.toml", &say("two"));
    eventually("the change is in force", async || says(&node, "two").await).await;
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Unchanged);
    assert_eq!((reloaded.changes.len(), reloaded.changes[0].what.as_str()), (1, "say"), "it still tells what changed");
}

#[tokio::test]
async fn broken_files_are_refused_and_good_ones_taken_again() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    for round in 0..3 {
        node.write("policies/say.toml", "route = \"GET /say\"\n[[filter]]\nuse = \"sya\"\n");
        let reloaded = node.reload().await;
        assert_eq!(reloaded.outcome, ReloadOutcome::Refused);
        assert!(
            reloaded.text.contains("policies/say.toml:3:7") && reloaded.text.contains("P0105"),
            "{}",
            reloaded.text
        );
        assert_eq!(node.reload().await.outcome, ReloadOutcome::Refused, "asked again, it says so again");
        assert!(node.running.node.refused().is_some());
        let good = format!("good {round}");
        node.write("policies/say.toml", &say(&good));
        node.must_load().await;
        assert!(says(&node, &good).await);
        assert!(node.running.node.refused().is_none());
    }
}

#[tokio::test]
async fn files_that_are_put_back_are_no_new_generation() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    node.write("policies/say.toml", "broken");
    assert_eq!(node.reload().await.outcome, ReloadOutcome::Refused);
    node.write("policies/say.toml", &say("one"));
    let reloaded = node.reload().await;
    assert_eq!((reloaded.outcome, reloaded.generation), (ReloadOutcome::Unchanged, 1));
    assert!(node.running.node.refused().is_none());
}

#[tokio::test]
async fn every_answer_names_its_generation_where_debug_asks_for_it() {
    let debug = "[debug]\ngeneration_header = true\n";
    let node = TestNode::start(&[("policies/say.toml", &say("one")), ("node.toml", debug)]).await;
    assert!(node.get("/say").await.contains("portcullis-generation: 1\r\n"));
    assert!(node.get("/none").await.contains("portcullis-generation: 1\r\n"));
    node.write("policies/say.toml", &say("two"));
    node.must_load().await;
    assert!(node.get("/say").await.contains("portcullis-generation: 2\r\n"));
}

#[tokio::test]
async fn another_source_is_taken_up_with_a_warning() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    node.write(
        "stores/stores.toml",
        &format!("{}[source.other]\ntype = \"memory\"\n", MEMORY.replace("= \"memory\"\n[", "= \"other\"\n[")),
    );
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Loaded, "{}", reloaded.text);
    assert_eq!(reloaded.text.matches("P0403").count(), store::Kind::ALL.len(), "{}", reloaded.text);
    assert!(reloaded.changes.iter().any(|c| c.what == "store.clients" && c.how == "now on source other"));
    assert_eq!(status(&node.get("/say").await), "200");
}

#[tokio::test]
async fn a_source_that_does_not_open_is_no_reason_not_to_start_but_to_refuse_a_reload() {
    let down = "default = \"down\"\n[source.down]\ntype = \"sqlite\"\npath = \"policies/say.toml/x.db\"\n";
    let node = TestNode::start(&[("policies/say.toml", &say("one")), ("stores/stores.toml", down)]).await;
    assert!(node.running.node.unready().is_some());
    assert_eq!(status(&node.get("/say").await), "200");
    assert!(node.running.started.warnings.iter().any(|w| w.problem.code.as_str() == "P0404"));
    node.write("stores/stores.toml", MEMORY);
    node.must_load().await;
    assert!(node.running.node.unready().is_none());
    node.write("stores/stores.toml", down);
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Refused);
    assert!(reloaded.text.contains("P0404") && reloaded.text.contains("stores/stores.toml:2:"), "{}", reloaded.text);
    assert!(node.running.node.unready().is_none(), "the source before serves on");
}

#[tokio::test]
async fn listeners_come_and_go_and_the_others_are_not_touched() {
    let two = |second: &str| {
        format!(
            "[[listener]]\nname = \"first\"\naddress = \"127.0.0.1:0\"\n[[listener]]\nname = \"{second}\"\naddress = \"127.0.0.1:0\"\n"
        )
    };
    let folder = folder(&[("policies/say.toml", &say("one")), ("node.toml", &two("second"))]);
    let options = crate::options::Options { listen: None, ..super::options(&folder) };
    let running = crate::run::launch(options, std::sync::Arc::new(super::Quiet), crate::clock::environment()).await;
    let node = TestNode { running: running.unwrap_or_else(|why| panic!("{why}")), folder };
    let addresses: Vec<_> = node.running.started.listeners.iter().map(|l| l.address.clone()).collect();
    let mut kept = node.connect().await;
    node.write("node.toml", &two("third"));
    node.must_load().await;
    let open: Vec<_> = node.running.node.listeners.open().iter().map(|(_, address, _)| address.clone()).collect();
    assert_eq!((open.len(), &open[0]), (2, &addresses[0]));
    assert!(!open.contains(&addresses[1]));
    eventually("the removed one is closed", async || {
        tokio::net::TcpStream::connect(addresses[1].tcp().unwrap()).await.is_err()
    })
    .await;
    tokio::io::AsyncWriteExt::write_all(&mut kept, b"GET /say HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status(&super::read_all(&mut kept).await), "200", "a connection of a kept listener lives on");
}

/// A connection that is open when its listener goes has its request answered, by the generation in which the listener was.
#[tokio::test]
async fn a_request_on_a_listener_that_goes_is_served_by_the_generation_that_had_it() {
    let debug = "[debug]\ngeneration_header = true\n";
    let listener = |name: &str| format!("[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\n");
    let files =
        [("policies/say.toml", &*say("one")), ("node.toml", &format!("{debug}{}{}", listener("a"), listener("b")))];
    let folder = folder(&files);
    let options = crate::options::Options { listen: None, ..super::options(&folder) };
    let running = super::launch(options, std::sync::Arc::new(super::Quiet), crate::clock::environment()).await;
    let Ok(running) = running else { panic!("it starts") };
    let node = TestNode { running, folder };
    let mut leaving = tokio::net::TcpStream::connect(node.running.started.listeners[1].tcp()).await.unwrap();
    // A request has begun: hyper would close a connection on which none has.
    leaving.write_all(b"GET /say HTTP/1.1\r\n").await.unwrap();
    let open = || node.running.node.listeners.open().iter().map(|(_, _, open)| open).sum::<usize>();
    eventually("the connection is open", async || open() == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    node.write("node.toml", &format!("{debug}{}", listener("a")));
    node.write("policies/say.toml", &say("two"));
    node.must_load().await;
    assert!(node.get("/say").await.contains("portcullis-generation: 2\r\n"));
    leaving.write_all(b"host: a\r\n\r\n").await.unwrap();
    let answer = super::read_all(&mut leaving).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains("portcullis-generation: 1\r\n") && answer.ends_with("one"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn no_request_fails_while_files_change() {
    let node = TestNode::start(&[("policies/say.toml", &say("0"))]).await;
    let requests = async {
        for _ in 0..300 {
            assert_eq!(status(&node.get("/say").await), "200");
        }
    };
    let changes = async {
        for number in 1..20 {
            node.write(
                "policies/say.toml",
                &if number % 3 == 0 { String::from("broken") } else { say(&number.to_string()) },
            );
            node.reload().await;
        }
    };
    tokio::join!(requests, changes);
    assert!(says(&node, "19").await);
}

/// The files are read before they are watched: a change in between is noticed all the same.
#[tokio::test]
async fn a_file_that_is_saved_while_the_node_starts_is_taken_up() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    // Nothing of the watcher can have run yet: this is the only thread.
    node.write("policies/say.toml", &say("two"));
    eventually("the change is in force", async || says(&node, "two").await).await;
}

/// Whoever asks for a load has it at once, also while files keep changing.
#[tokio::test]
async fn a_load_that_is_asked_for_waits_for_no_quiet() {
    let node = TestNode::start(&[("policies/say.toml", &say("0"))]).await;
    let writes = async {
        for number in 1.. {
            node.write("policies/say.toml", &say(&number.to_string()));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let asks = async {
        for _ in 0..10 {
            // So that the watcher waits for quiet already.
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            node.reload().await;
        }
    };
    let limit = tokio::time::sleep(std::time::Duration::from_secs(10));
    tokio::select! {
        () = asks => {}
        () = writes => {}
        () = limit => panic!("each waited until the files were quiet"),
    }
}

#[tokio::test]
async fn a_broken_folder_does_not_start() {
    let folder = folder(&[("policies/say.toml", "route = \"/x\"\n"), ("node.toml", "nam = 1\n")]);
    let Err(StartError::Refused(diagnostics)) = TestNode::try_start(&folder).await else { panic!("it started") };
    assert!(diagnostics.iter().count() >= 2, "all problems of all files: {diagnostics:?}");
}

#[tokio::test]
async fn a_secret_file_that_is_rotated_is_a_change_and_one_that_is_not_is_none() {
    let node = "[values]\na = { env = \"UNSET\", default = \"b\" }\n";
    let stores = "default = \"memory\"\n[source.memory]\ntype = \"memory\"\n";
    let files = [
        ("policies/say.toml", &*say("one")),
        ("policies/file.toml", "route = \"/file\"\n[[filter]]\nuse = \"content\"\nfile = \"var/text\"\n"),
        ("var/text", "first"),
        ("node.toml", node),
        ("stores/stores.toml", stores),
    ];
    let node = TestNode::start(&files).await;
    assert!(node.get("/file").await.ends_with("first"));
    assert_eq!(node.reload().await.outcome, ReloadOutcome::Unchanged);
    node.write("var/text", "second");
    eventually("the file is taken up", async || node.get("/file").await.ends_with("second")).await;
    let reloaded = node.reload().await;
    assert_eq!((reloaded.outcome, reloaded.generation), (ReloadOutcome::Unchanged, 2));
}

#[tokio::test]
async fn a_panic_in_a_load_refuses_that_load_and_no_other() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    node.write("policies/panic.toml", "route = \"/p\"\n[[filter]]\nuse = \"panic\"\nbuild = true\n");
    assert_eq!(node.reload().await.outcome, ReloadOutcome::Refused);
    assert!(says(&node, "one").await);
    std::fs::remove_file(node.folder.path().join("policies/panic.toml")).unwrap();
    node.write("policies/say.toml", &say("two"));
    node.must_load().await;
    assert!(says(&node, "two").await);
}

#[tokio::test]
async fn a_panic_while_files_are_read_ends_no_reloads() {
    let node = TestNode::start(&[("policies/say.toml", &say("one"))]).await;
    node.write("node.toml", &format!("[values]\na = {{ env = \"{}\", default = \"b\" }}\n", super::PANIC));
    for _ in 0..2 {
        let reloaded = node.reload().await;
        assert_eq!(reloaded.outcome, ReloadOutcome::Refused);
        assert!(reloaded.text.contains("defect of the gateway"), "{}", reloaded.text);
    }
    assert!(node.running.node.refused().is_some());
    assert!(says(&node, "one").await);
    node.write("node.toml", "");
    node.write("policies/say.toml", &say("two"));
    node.must_load().await;
    assert!(says(&node, "two").await);
    assert!(node.running.node.refused().is_none());
}
