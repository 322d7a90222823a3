//! Several programs in one PostgreSQL database, each in a schema of its own.

use super::open;
use super::server::Database;
use crate::store::DbUrl;

/// Tables are made in the first schema of the path, `$user` as the server comes, and are looked for there alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_another_schema_is_somebody_elses() {
    let database = Database::new();
    // As another framework calls its own; who cannot read it is refused.
    database.sql("CREATE TABLE public.migrations (id BIGINT, migration TEXT, batch BIGINT)");
    database.sql("CREATE TABLE public.sealed_keys (id BIGINT)");
    database.sql("CREATE SCHEMA AUTHORIZATION gate");
    let url = DbUrl::parse(&database.socket_url()).unwrap();
    for _ in 0..2 {
        open(&url).await;
    }
    let made = "SELECT COUNT(*) > 0 AND COUNT(*) = COUNT(DISTINCT version) FROM gate.migrations";
    assert_eq!(database.sql(made), "t");
    assert_eq!(database.sql("SELECT COUNT(*) FROM public.migrations"), "0");
}
