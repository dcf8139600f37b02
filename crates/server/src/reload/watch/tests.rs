//! Over real folders: what editors, deployments and Kubernetes do to files is noticed.

use std::fs;
use std::os::unix::fs::symlink;

use futures_util::FutureExt;
use tempfile::TempDir;

use super::*;

async fn watching(folder: &TempDir, outside: &[&str]) -> Watch {
    let mut watch = new(folder);
    watch.refresh(outside.iter().map(|f| (*f).to_owned()).collect()).await;
    assert!(watch.watched, "this test needs a machine whose files can be watched");
    watch
}

fn new(folder: &TempDir) -> Watch {
    Watch::new(&crate::tests::options(folder))
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("policies/oauth")).unwrap();
    fs::write(folder.path().join("policies/oauth/token.toml"), "a").unwrap();
    folder
}

async fn told(watch: &Watch) -> bool {
    tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
}

async fn quiet(watch: &Watch) -> bool {
    tokio::time::timeout(Duration::from_millis(150), watch.changed()).await.is_err()
}

/// Waits until the events of what came before have all come.
async fn drain(watch: &Watch) {
    while !quiet(watch).await {}
}

#[tokio::test]
async fn writes_renames_and_removals_are_told_and_reads_are_not() {
    let folder = folder();
    let watch = watching(&folder, &[]).await;
    let file = folder.path().join("policies/oauth/token.toml");
    fs::read(&file).unwrap();
    assert!(quiet(&watch).await);
    fs::write(&file, "b").unwrap();
    assert!(told(&watch).await);
    drain(&watch).await;
    fs::write(folder.path().join("policies/oauth/.token.new"), "c").unwrap();
    drain(&watch).await;
    fs::rename(folder.path().join("policies/oauth/.token.new"), &file).unwrap();
    assert!(told(&watch).await);
    drain(&watch).await;
    fs::remove_file(&file).unwrap();
    assert!(told(&watch).await);
}

#[tokio::test]
async fn what_is_no_configuration_is_not_told() {
    let folder = folder();
    fs::create_dir(folder.path().join("var")).unwrap();
    let watch = watching(&folder, &["var/secret"]).await;
    fs::write(folder.path().join("portcullis.log"), "x").unwrap();
    fs::write(folder.path().join("var/portcullis.db-wal"), "x").unwrap();
    assert!(quiet(&watch).await);
    fs::write(folder.path().join("var/secret"), "x").unwrap();
    assert!(told(&watch).await);
}

#[tokio::test]
async fn folders_that_appear_later_are_watched() {
    let folder = folder();
    let mut watch = watching(&folder, &[]).await;
    fs::create_dir(folder.path().join("stores")).unwrap();
    assert!(told(&watch).await);
    watch.refresh(Vec::new()).await;
    drain(&watch).await;
    fs::write(folder.path().join("stores/stores.toml"), "x").unwrap();
    assert!(told(&watch).await);
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_watched_anew() {
    let folder = folder();
    let mut watch = watching(&folder, &[]).await;
    fs::remove_dir_all(folder.path().join("policies")).unwrap();
    fs::create_dir_all(folder.path().join("policies")).unwrap();
    assert!(told(&watch).await);
    watch.refresh(Vec::new()).await;
    drain(&watch).await;
    fs::write(folder.path().join("policies/a.toml"), "x").unwrap();
    assert!(told(&watch).await);
}

#[tokio::test]
async fn a_config_map_that_is_swapped_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    for version in ["..1", "..2"] {
        fs::create_dir_all(policies.join(version)).unwrap();
        fs::write(policies.join(version).join("a.toml"), version).unwrap();
    }
    symlink("..1", policies.join("..data")).unwrap();
    symlink("..data/a.toml", policies.join("a.toml")).unwrap();
    let mut watch = watching(&folder, &[]).await;
    for version in ["..2", "..1"] {
        symlink(version, policies.join("..data_tmp")).unwrap();
        fs::rename(policies.join("..data_tmp"), policies.join("..data")).unwrap();
        assert!(told(&watch).await, "{version}");
        watch.refresh(Vec::new()).await;
        drain(&watch).await;
    }
}

#[tokio::test]
async fn a_watcher_that_fails_is_made_anew() {
    let folder = folder();
    let mut watch = watching(&folder, &[]).await;
    handler(watch.shared.clone())(Err(notify::Error::generic("it broke")));
    assert!(told(&watch).await);
    watch.refresh(Vec::new()).await;
    drain(&watch).await;
    fs::write(folder.path().join("node.toml"), "x").unwrap();
    assert!(told(&watch).await);
}

/// A network file system may take seconds for each look; no request waits for that.
#[tokio::test]
async fn what_looks_at_the_files_is_not_a_thread_that_serves() {
    let folder = folder();
    let mut watch = new(&folder);
    // A look that takes long.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let watching = watch.watching.clone();
    let slow = std::thread::spawn(move || {
        let _look = watching.lock().unwrap();
        begin.send(()).unwrap();
        let _ = released.recv_timeout(Duration::from_secs(2));
    });
    begun.recv().unwrap();
    {
        let mut refresh = std::pin::pin!(watch.refresh(Vec::new()));
        assert!(refresh.as_mut().now_or_never().is_none(), "it waited on this thread");
        release.send(()).unwrap();
        refresh.await;
    }
    slow.join().unwrap();
    assert!(watch.watched);
}
