//! Answers of HTTP/2 that end with their head, and do not say so in it. Pingora tells its modules of that end, and no
//! filter.

use std::any::Any;
use std::sync::LazyLock;

use async_trait::async_trait;
use http::header;
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, HttpModules, Module};
use pingora::proxy::Session;

use super::request::note_answered;

/// What one request is told.
#[derive(Default)]
struct Whole {
    /// Whether its answer is said to be compressed here.
    coded: bool,
}

static MODULES: LazyLock<HttpModules> = LazyLock::new(|| {
    let mut modules = HttpModules::new();
    modules.add_module(Box::new(Builder));
    modules
});

/// Has a request that is sent over HTTP/2 hear of such an end. All others do without, which costs them nothing.
pub fn hear(session: &mut Session) {
    session.downstream_modules_ctx = MODULES.build_ctx();
}

/// Notes whether the answer is said to be compressed: nothing is no compressed form of nothing.
pub fn note_coded(session: &mut Session, coded: bool) {
    if let Some(whole) = session.downstream_modules_ctx.get_mut::<Whole>() {
        whole.coded = coded;
    }
}

#[async_trait]
impl HttpModule for Whole {
    async fn response_header_filter(
        &mut self,
        answer: &mut ResponseHeader,
        end: bool,
    ) -> pingora::Result<()> {
        if end && !answer.status.is_informational() {
            note_answered();
            if self.coded {
                answer.remove_header(&header::CONTENT_ENCODING);
            }
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

struct Builder;

impl HttpModuleBuilder for Builder {
    fn init(&self) -> Module {
        Box::new(Whole::default())
    }
}
